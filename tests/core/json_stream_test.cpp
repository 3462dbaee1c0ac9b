// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/json_stream.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/folders.h"

namespace cpx {
namespace json_stream_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;
using testing_support::ScratchFolderTest;

class JsonStreamTest : public ScratchFolderTest {
 protected:
  // The values as JSON, each behind its place, then the faults.
  std::vector<std::string> read(const std::string& name, std::string_view content) const {
    std::vector<std::string> lines;
    const JsonItems items = read_json_items(write(name, content), "record");
    for (const JsonValue& value : items.values) {
      lines.push_back(without_folder(value.place() + " " + value.json()));
    }
    for (const Fault& fault : items.faults) lines.push_back(without_folder(fault.text()));
    return lines;
  }
};

TEST_F(JsonStreamTest, AListIsReadWhateverItsName) {
  for (const char* name : {"a.json", "a.jsonl", "a.data"}) {
    EXPECT_THAT(read(name, " [ {\"a\": [1, 2]} ,\n\"x,]\\\"\", 3.50,null ]\n"),
                ElementsAre(StartsWith(fmt::format("[{}: record 1] {{\"a\":[1,2]}}", name)),
                            fmt::format("[{}: record 2] \"x,]\\\"\"", name),
                            fmt::format("[{}: record 3] 3.50", name),
                            fmt::format("[{}: record 4] null", name)));
  }
}

TEST_F(JsonStreamTest, LinesAreReadWhateverTheirName) {
  for (const char* name : {"a.json", "a.jsonl", "a.ndjson"}) {
    EXPECT_THAT(read(name, "{\"a\": 1}\r\n\r\n  \n{\"a\": 2}"),
                ElementsAre(fmt::format("[{}: record 1, line 1] {{\"a\":1}}", name),
                            fmt::format("[{}: record 2, line 4] {{\"a\":2}}", name)));
  }
}

TEST_F(JsonStreamTest, AByteOrderMarkAndOldLineEndsChangeNothing) {
  EXPECT_THAT(read("a.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r{\"a\": 2}\r"),
              ElementsAre("[a.jsonl: record 1, line 1] {\"a\":1}",
                          "[a.jsonl: record 2, line 2] {\"a\":2}"));
  EXPECT_THAT(read("a.json", "\xEF\xBB\xBF[\r\n1\r\n]"), ElementsAre("[a.json: record 1] 1"));
}

TEST_F(JsonStreamTest, AnObjectAloneMayTakeManyLines) {
  EXPECT_THAT(read("a.json", "{\"a\": 1}"), ElementsAre("[a.json: record 1, line 1] {\"a\":1}"));
  EXPECT_THAT(read("a.json", "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"),
              ElementsAre("[a.json: record 1, line 1] {\"a\":{\"b\":1}}"));
  EXPECT_THAT(read("a.json", "{\"a\": 1,\n \"b\": 2}\n{\"a\": 3,\n \"b\": 4}\n"),
              ElementsAre("[a.json: record 1, line 1] {\"a\":1,\"b\":2}",
                          "[a.json: record 2, line 3] {\"a\":3,\"b\":4}"));
  // As jq prints it.
  EXPECT_THAT(read("a.jsonl", "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n"),
              ElementsAre("[a.jsonl: record 1, line 1] {\"a\":1}",
                          "[a.jsonl: record 2, line 4] {\"a\":2}"));
}

TEST_F(JsonStreamTest, ABrokenLineIsAFaultAndTheOthersAreRead) {
  EXPECT_THAT(
      read("a.jsonl", "{\"a\": [1\n{\"a\": 2}\nnonsense\n{\"a\": 3} {}\n{\"a\": 4}\n"),
      ElementsAre("[a.jsonl: record 2, line 2] {\"a\":2}", "[a.jsonl: record 5, line 5] {\"a\":4}",
                  StartsWith("[a.jsonl: record 1, line 1] is not valid JSON: parse error "
                             "at line 1, column 9: syntax error while parsing array"),
                  StartsWith("[a.jsonl: record 3, line 3] is not valid JSON: parse error "
                             "at line 3, column 2: "),
                  StartsWith("[a.jsonl: record 4, line 4] is not valid JSON: parse error "
                             "at line 4, column 10: ")));
}

TEST_F(JsonStreamTest, ABrokenElementOfAListIsAFaultAndTheOthersAreRead) {
  EXPECT_THAT(read("a.json", "[1,\n{\"a\": oops},\n3]"),
              ElementsAre("[a.json: record 1] 1", "[a.json: record 3] 3",
                          StartsWith("[a.json: record 2] is not valid JSON: parse error at line 2, "
                                     "column 7: ")));
}

TEST_F(JsonStreamTest, AListThatIsNoneIsToldWithItsLine) {
  EXPECT_THAT(read("a.json", "[1,\n2"),
              ElementsAre("[a.json: record 1] 1", "[a.json: record 2] 2",
                          "[a.json: line 2] is not valid JSON: got the file's end behind record 2, "
                          "expected ',' or ']'."));
  EXPECT_THAT(read("a.json", "[1\n2]"),
              ElementsAre("[a.json: record 1] 1",
                          "[a.json: line 2] is not valid JSON: got '2' behind record 1, expected "
                          "',' or ']'."));
  EXPECT_THAT(read("a.json", "[1,\n]"),
              ElementsAre("[a.json: record 1] 1",
                          "[a.json: line 2] is not valid JSON: got ']' for record 2, expected a "
                          "value."));
  EXPECT_THAT(read("a.json", "[1]\n{\"a\": 2}"),
              ElementsAre("[a.json: record 1] 1",
                          "[a.json: line 2] is not valid JSON: got '{' behind the list, expected "
                          "nothing there."));
  EXPECT_THAT(
      read("a.json", "[{\"a\": [\"b\"\n"),
      ElementsAre(StartsWith("[a.json: record 1] is not valid JSON: parse error at line ")));
  EXPECT_EQ(read("a.json", std::string(300'000, '[')).size(), 1);
}

TEST_F(JsonStreamTest, AFileWithoutAValueIsAFault) {
  EXPECT_THAT(read("a.json", ""), ElementsAre("[a.json] got an empty file, expected records."));
  EXPECT_THAT(read("a.jsonl", " \r\n\n"),
              ElementsAre("[a.jsonl] got an empty file, expected records."));
  EXPECT_THAT(read("a.json", "[ ]"), ElementsAre("[a.json] got an empty list, expected records."));
}

TEST_F(JsonStreamTest, WhatIsNotUtf8IsToldWithLineAndOffset) {
  EXPECT_THAT(read("a.json", "[\n\"caf\xE9\"]"),
              ElementsAre("[a.json: line 2] not UTF-8: got the byte 0xE9 at offset 6, expected "
                          "UTF-8. Convert the file, for example with iconv."));
}

// Values whose parts lie in several of the pieces that are read at once.
TEST_F(JsonStreamTest, LargeValuesAreReadWhole) {
  std::string list = "[";
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    const std::string text(static_cast<size_t>(100'000 * i + 7), static_cast<char>('a' + i));
    list += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", text);
    lines += fmt::format("\"{}\"\n", text);
  }
  for (const std::string& content : {list + "]", lines}) {
    const JsonItems items = read_json_items(write("a.json", content), "record");
    EXPECT_THAT(items.faults.texts(), IsEmpty());
    ASSERT_EQ(items.values.size(), 5);
    EXPECT_EQ(items.values[4].text(), std::string(400'007, 'e'));
  }
}

TEST_F(JsonStreamTest, ProgressIsInBytes) {
  JsonStream stream(write("a.json", "\xEF\xBB\xBF[1, 22]"), "record");
  EXPECT_TRUE(stream.is_list());
  EXPECT_EQ(stream.num_bytes(), 10);
  stream.next();
  EXPECT_EQ(stream.bytes_read(), 5);
  stream.next();
  EXPECT_FALSE(stream.next());
  EXPECT_EQ(stream.bytes_read(), 10);
}

TEST_F(JsonStreamTest, TheContentTellsWhetherAFileHoldsJson) {
  EXPECT_TRUE(holds_json(write("a.json", "plain")));  // by its name
  EXPECT_TRUE(holds_json(write("a.jsonl", "")));
  EXPECT_FALSE(holds_json(write("a.txt", "{\"a\": 1}\n")));
  EXPECT_TRUE(holds_json(write("a", "\xEF\xBB\xBF\n {\"a\": 1}")));
  EXPECT_TRUE(holds_json(write("b.data", "[1]")));
  EXPECT_FALSE(holds_json(write("c.md", "A text.\n")));
  EXPECT_FALSE(holds_json(write("d", "")));
}

TEST_F(JsonStreamTest, PythonsNumbersAreReadWhereTheyAreAskedFor) {
  const auto file = write("a.json", R"([{"a": NaN, "NaN": "\\\"NaN", "b": [-Infinity,Infinity]}])");
  JsonStream python(file, "record", JsonNumbers::kPython);
  EXPECT_EQ(python.next()->json(),
            R"({"a":null,"NaN":"\\\"NaN","b":[-1.7976931348623157e308,1.7976931348623157e308]})");
  JsonStream standard(file, "record");
  EXPECT_THROW(standard.next(), DataError);
}

}  // namespace json_stream_test
}  // namespace cpx
