// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/line_reader.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "temp_folder.h"

namespace cpx::data {
namespace line_reader_test {

using testing::ElementsAre;
using testing::HasSubstr;

class LineReaderTest : public TempFolderTest {
 protected:
  std::vector<std::string> lines_of(const std::string& content) const {
    LineReader reader(write("a.txt", content));
    std::vector<std::string> lines;
    while (const auto line = reader.next()) lines.emplace_back(*line);
    EXPECT_EQ(reader.bytes_read(), std::ssize(content));
    return lines;
  }

  std::string error_of(const std::string& content) const {
    try {
      lines_of(content);
    } catch (const DataError& error) {
      return without_folder(error.what());
    }
    return "(no DataError)";
  }
};

TEST_F(LineReaderTest, LinesComeWithoutTheirEnds) {
  EXPECT_THAT(lines_of(""), ElementsAre());
  EXPECT_THAT(lines_of("\n"), ElementsAre(""));
  EXPECT_THAT(lines_of("a\n\nb"), ElementsAre("a", "", "b"));
  EXPECT_THAT(lines_of("a\r\n b\tc \r\n"), ElementsAre("a", " b\tc "));
  EXPECT_THAT(lines_of("\xEF\xBB\xBF"
                       "a\nb\n"),
              ElementsAre("a", "b"));
}

// Lines that end before, at and behind the ends of the pieces that are read at once.
TEST_F(LineReaderTest, LongFilesAreReadWhole) {
  std::string content;
  std::vector<std::string> expected;
  for (const size_t length : {262143, 0, 1, 262144, 262142, 700000, 5, 262145}) {
    expected.push_back(std::string(length, static_cast<char>('a' + expected.size())));
    content += expected.back() + "\n";
  }
  EXPECT_EQ(lines_of(content), expected);
}

TEST_F(LineReaderTest, WhatIsNotUtf8IsToldWithLineAndOffset) {
  EXPECT_EQ(error_of("caf\xC3\xA9\ncaf\xE9\n"),
            "[a.txt: line 2] not UTF-8: got the byte 0xE9 at offset 9, expected UTF-8. Convert the "
            "file, for example with iconv.");
}

TEST_F(LineReaderTest, AFileWithoutLineEndsIsRefused) {
  EXPECT_EQ(error_of("a\n" + std::string(65 << 20, 'x')),
            "[a.txt: line 2] got a line of more than 64 MiB, expected a text a line. Is it a text "
            "file?");
}

TEST_F(LineReaderTest, WhatCannotBeReadIsToldAsSuch) {
  const auto error_at = [&](const std::filesystem::path& path) {
    try {
      LineReader reader(path);
    } catch (const DataError& error) {
      return without_folder(error.what());
    }
    return std::string("(no DataError)");
  };
  EXPECT_EQ(error_at(folder_ / "none"), "[read] none: cannot be read: No such file or directory.");
  EXPECT_THAT(error_at(folder_), HasSubstr("is a folder, expected a file."));
}

TEST_F(LineReaderTest, BlankLinesAreKnown) {
  EXPECT_TRUE(LineReader::is_blank(""));
  EXPECT_TRUE(LineReader::is_blank(" \t"));
  EXPECT_FALSE(LineReader::is_blank(" . "));
}

}  // namespace line_reader_test
}  // namespace cpx::data
