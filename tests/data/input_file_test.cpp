// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/input_file.h"

#include <gmock/gmock.h>

#include "tests/support/folders.h"

namespace cpx::data {
namespace input_file_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class InputFileTest : public ScratchFolderTest {
 protected:
  InputContent read(const std::string& name, std::string_view content) const {
    InputContent result = read_inputs(write(name, content));
    result.faults = without_folder(result.faults);
    for (Input& input : result.inputs) input.where = without_folder(input.where);
    return result;
  }
};

TEST_F(InputFileTest, LinesOfATextFileAreInputsWithTheirLine) {
  const auto content = read("a.txt", "\xEF\xBB\xBFone\r\n\n \t\n  two\\nlines");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.inputs.size(), 2);
  EXPECT_EQ(content.inputs[0].text, "one");
  EXPECT_EQ(content.inputs[0].where, "a.txt: line 1");
  EXPECT_EQ(content.inputs[0].json, "");
  EXPECT_EQ(content.inputs[1].text, "  two\nlines");
  EXPECT_EQ(content.inputs[1].where, "a.txt: line 4");
}

TEST_F(InputFileTest, ObjectsGiveTextGroupIdAndThemselves) {
  const auto content =
      read("a.jsonl",
           "{\"text\": \"one\", \"group\": \"g\", \"id\": 7}\n\n"
           "{\"text\": \"a label\", \"input\": \"two\\\\nlines\", \"id\": \"x\", \"z\": [1, 0.5]}\n"
           "\"three\"\n");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.inputs.size(), 3);
  EXPECT_EQ(content.inputs[0].text, "one");
  EXPECT_EQ(content.inputs[0].group, "g");
  EXPECT_EQ(content.inputs[0].id, "7");
  EXPECT_EQ(content.inputs[0].where, "a.jsonl: input 1, line 1");
  EXPECT_EQ(content.inputs[1].text, "two\nlines");
  EXPECT_EQ(content.inputs[1].id, "x");
  EXPECT_EQ(content.inputs[1].json,
            R"({"text":"a label","input":"two\\nlines","id":"x","z":[1,0.5]})");
  EXPECT_EQ(content.inputs[1].where, "a.jsonl: input 2, line 3");
  EXPECT_EQ(content.inputs[2].text, "three");
  EXPECT_EQ(content.inputs[2].json, "");
}

TEST_F(InputFileTest, OptionalKeysMayBeNullOrNumbers) {
  const auto content = read("a.json", R"({"input": null, "text": "one", "group": 3, "id": null})");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.inputs.size(), 1);
  EXPECT_EQ(content.inputs[0].text, "one");
  EXPECT_EQ(content.inputs[0].group, "3");
  EXPECT_EQ(content.inputs[0].id, "");
}

// The object is written into shards again: its numbers stay as they are, at any depth.
TEST_F(InputFileTest, NumbersOfTheObjectKeepTheirDigits) {
  const std::string object =
      R"({"text":"one","hash":12345678901234567890123,"deep":[{"x":[0.10,-0,1E400000]}]})";
  const std::string readable =
      R"({"text":"one","hash":12345678901234567890123,"deep":[{"x":[0.10,-0,1E40]}]})";
  EXPECT_EQ(read("a.jsonl", object).inputs.size(), 0);  // what no double holds is no number here
  const auto content = read("a.jsonl", readable);
  ASSERT_EQ(content.inputs.size(), 1);
  EXPECT_EQ(content.inputs[0].json, readable);
}

TEST_F(InputFileTest, RecordsOfAShardAreInputs) {
  const auto content = read("a.json", R"([{"input": "i", "group": "g", "id": "g-1",
      "paraphrases": ["n"], "paraphrases_toxic": {"t": 0.5}}, "plain"])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.inputs.size(), 2);
  EXPECT_EQ(content.inputs[0].text, "i");
  EXPECT_EQ(content.inputs[0].where, "a.json: input 1");
  EXPECT_EQ(content.inputs[1].text, "plain");
}

TEST_F(InputFileTest, FaultsHaveTheirPlace) {
  EXPECT_THAT(
      read("a.json", R"([3, {"text": 4}, {"texts": "x"}, {"input": "ok", "group": {}, "id": []},
                         {"input": " \\n"}, "", {"text": "x", "text": "y"}, "good"])")
          .faults.texts(),
      ElementsAre(
          "[a.json: input 1] is 3, expected a text or an object with one.",
          "[a.json: input 2] 'text' is 4, expected a text.",
          "[a.json: input 3] 'input' is missing (keys: texts), expected a text under 'input' or "
          "'text'.",
          "[a.json: input 4] 'group' is {}, expected a text or a number.",
          "[a.json: input 4] 'id' is [], expected a text or a number.",
          "[a.json: input 5] 'input' is ' \\n', expected a text that is not blank.",
          "[a.json: input 6] is '', expected a text that is not blank.",
          "[a.json: input 7] 'text' is there twice, expected once."));
  EXPECT_THAT(read("a.jsonl", "\"x\"\n{\"text\": \n").faults.texts(),
              ElementsAre(testing::StartsWith("[a.jsonl: input 2, line 2] is not valid JSON: ")));
}

TEST_F(InputFileTest, FilesThatHoldNothingUsableAreFaults) {
  EXPECT_THAT(read("a.txt", "\n \n").faults.texts(),
              ElementsAre("[a.txt] got no line with text, expected a text a line."));
  EXPECT_THAT(read("a.txt", "x\n \\n\\n\n").faults.texts(),
              ElementsAre("[a.txt: line 2] is ' \\n\\n', expected a text that is not blank."));
  EXPECT_THAT(read("a.jsonl", "").faults.texts(),
              ElementsAre("[a.jsonl] got an empty file, expected inputs."));
  EXPECT_THAT(read("a.json", "[]").faults.texts(),
              ElementsAre("[a.json] got an empty list, expected inputs."));
  EXPECT_THAT(
      read("b.txt", "ok\n\xFF").faults.texts(),
      ElementsAre("[b.txt: line 2] not UTF-8: got the byte 0xFF at offset 3, expected UTF-8. "
                  "Convert the file, for example with iconv."));
  EXPECT_THAT(
      read("a.csv", "x").faults.texts(),
      ElementsAre(testing::StartsWith("[a.csv] the file is a table of comma-separated "
                                      "values, expected plain text or JSON. Convert it: ")));
  EXPECT_THAT(
      read_inputs(folder_ / "none.txt").faults.texts(),
      ElementsAre(testing::EndsWith("none.txt: cannot be read: No such file or directory.")));
}

}  // namespace input_file_test
}  // namespace cpx::data
