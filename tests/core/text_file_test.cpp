// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/text_file.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/folders.h"

namespace cpx {
namespace text_file_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::ScratchFolderTest;

class LineReaderTest : public ScratchFolderTest {
 protected:
  std::vector<std::string> lines_of(const std::string& content) const {
    LineReader reader(write("a.txt", content));
    std::vector<std::string> lines;
    while (const auto line = reader.next()) lines.emplace_back(*line);
    EXPECT_EQ(reader.bytes_read(), std::ssize(content));
    return lines;
  }

  std::string error_of(const std::string& content) const {
    return data_error_of([&] { lines_of(content); });
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
    return data_error_of([&] { LineReader reader(path); });
  };
  EXPECT_EQ(error_at(folder_ / "none"), "[read] none: cannot be read: No such file or directory.");
  EXPECT_THAT(error_at(folder_), HasSubstr("is a folder, expected a file."));
}

// Lines that end in "\r", as old programs and some exports write them.
TEST_F(LineReaderTest, EveryKindOfLineEndIsOne) {
  EXPECT_THAT(lines_of("a\rb\r\rc"), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(lines_of("a\r\nb\nc\rd\r"), ElementsAre("a", "b", "c", "d"));
  // "\r\n" of which the first byte ends a piece.
  const std::string first(262143, 'x');
  EXPECT_THAT(lines_of(first + "\r\nb"), ElementsAre(first, "b"));
  EXPECT_THAT(lines_of(first + "\rb"), ElementsAre(first, "b"));
  EXPECT_THAT(lines_of(first + "\r"), ElementsAre(first));
}

TEST_F(LineReaderTest, AByteOrderMarkCountsAmongTheBytes) {
  EXPECT_EQ(error_of("\xEF\xBB\xBF"
                     "a\nb\xE9"),
            "[a.txt: line 2] not UTF-8: got the byte 0xE9 at offset 6, expected UTF-8. Convert the "
            "file, for example with iconv.");
}

TEST(TrimLine, TakesTheMarkOffTheFirstLineAlone) {
  std::string line = "\xEF\xBB\xBFHi.\r";
  trim_line(line, /*is_first=*/true);
  EXPECT_EQ(line, "Hi.");
  line = "\xEF\xBB\xBF\r\r";
  trim_line(line, /*is_first=*/false);
  EXPECT_EQ(line, "\xEF\xBB\xBF\r");
}

class ReadTextTest : public ScratchFolderTest {
 protected:
  std::string error_of(const std::string& name, std::string_view content) const {
    return data_error_of([&] { read_text(write(name, content)); });
  }
};

TEST_F(ReadTextTest, MarkAndLineEndsAreThoseOfTheProject) {
  EXPECT_EQ(read_text(write("a",
                            "\xEF\xBB\xBF"
                            "a\r\nb\rc\n\r\n\r")),
            "a\nb\nc\n\n\n");
  EXPECT_EQ(read_text(write("b", "")), "");
  EXPECT_EQ(read_text(write("c", "\xEF\xBB\xBF")), "");
}

TEST_F(ReadTextTest, WhatIsNotUtf8IsToldWithLineAndOffset) {
  EXPECT_EQ(error_of("a.yaml", "x\r\ny: caf\xE9"),
            "[a.yaml: line 2] not UTF-8: got the byte 0xE9 at offset 9, expected UTF-8. Convert "
            "the file, for example with iconv.");
}

TEST_F(ReadTextTest, CompressedFilesAreToldWithTheCommandThatUnpacksThem) {
  using namespace std::string_view_literals;
  EXPECT_EQ(error_of("a.jsonl.gz", "\x1F\x8B\x08\x00"sv),
            "[a.jsonl.gz] the file is compressed by gzip, expected plain text or JSON. Unpack it: "
            "gzip -dk 'a.jsonl.gz'");
  // By its first bytes, whatever its name.
  EXPECT_EQ(error_of("a.json", "\x28\xB5\x2F\xFD rest"sv),
            "[a.json] the file is compressed by Zstandard, expected plain text or JSON. Unpack it: "
            "zstd -dk 'a.json'");
  EXPECT_EQ(error_of("a.xz", "\xFD\x37zXZ\x00"sv),
            "[a.xz] the file is compressed by xz, expected plain text or JSON. Unpack it: xz -dk "
            "'a.xz'");
  EXPECT_EQ(error_of("a", "BZh91AY&SY rest"),
            "[a] the file is compressed by bzip2, expected plain text or JSON. Unpack it: bzip2 "
            "-dk 'a'");
  EXPECT_EQ(error_of("a.zip", "PK\x03\x04 rest"),
            "[a.zip] the file is a ZIP archive, expected plain text or JSON. Unpack it: unzip "
            "'a.zip'");
}

TEST_F(ReadTextTest, TextInUtf16IsToldWithTheCommandThatConvertsIt) {
  for (const std::string_view mark : {"\xFF\xFE", "\xFE\xFF"}) {
    EXPECT_EQ(error_of("a.txt", std::string(mark) + "H"),
              "[a.txt] the file is in UTF-16, expected plain text or JSON. Convert it: iconv -f "
              "UTF-16 -t UTF-8 'a.txt' > 'a.txt.utf8'");
  }
}

TEST_F(ReadTextTest, TablesAreToldWithTheCommandThatConvertsThem) {
  EXPECT_EQ(error_of("a.csv", "text,label\n"),
            "[a.csv] the file is a table of comma-separated values, expected plain text or JSON. "
            "Convert it: python3 -c \"import csv, json; [print(json.dumps(row)) for row in "
            "csv.DictReader(open('a.csv'))]\" > 'a.csv.jsonl'");
  EXPECT_EQ(error_of("a.tsv", "text\tlabel\n"),
            "[a.tsv] the file is a table of tab-separated values, expected plain text or JSON. "
            "Convert it: python3 -c \"import csv, json; [print(json.dumps(row)) for row in "
            "csv.DictReader(open('a.tsv'), delimiter=chr(9))]\" > 'a.tsv.jsonl'");
  const std::string pandas =
      " expected plain text or JSON. Convert it: python3 -c \"import "
      "pandas; pandas.";
  const std::string end = ".jsonl', orient='records', lines=True)\"";
  EXPECT_EQ(error_of("a", "PAR1\x15 rest"),
            "[a] the file is a Parquet table," + pandas + "read_parquet('a').to_json('a" + end);
  EXPECT_EQ(error_of("a.arrow", "anything"), "[a.arrow] the file is an Arrow table," + pandas +
                                                 "read_feather('a.arrow').to_json('a.arrow" + end);
  EXPECT_EQ(error_of("a.xlsx", "PK\x03\x04 rest"), "[a.xlsx] the file is an Excel table," + pandas +
                                                       "read_excel('a.xlsx').to_json('a.xlsx" +
                                                       end);
}

}  // namespace text_file_test
}  // namespace cpx
