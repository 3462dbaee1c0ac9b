// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_file.h"

#include <gmock/gmock.h>

#include "tests/support/folders.h"

namespace cpx::data {
namespace text_file_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class TextFileTest : public ScratchFolderTest {
 protected:
  TextFileContent read(const std::string& name, std::string_view content) const {
    TextFileContent result = read_texts(write(name, content));
    result.faults = without_folder(result.faults);
    return result;
  }
};

TEST_F(TextFileTest, LinesOfATextFileAreTexts) {
  const auto content = read("a.txt", "\xEF\xBB\xBFone \\n\r\n\n \t\n  two\nthree");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(content.texts, ElementsAre("one \\n", "  two", "three"));
}

TEST_F(TextFileTest, JsonListAndLinesAreTexts) {
  EXPECT_THAT(read("a.json", R"(["one\ntwo", "", "x"])").texts, ElementsAre("one\ntwo", "", "x"));
  EXPECT_THAT(read("a.jsonl", "{\"text\": \"one\", \"label\": 1}\n\n{\"text\": \"two\"}\n").texts,
              ElementsAre("one", "two"));
}

TEST_F(TextFileTest, FaultsHaveTheirPlace) {
  EXPECT_THAT(read("a.json", R"(["one", 2, {}])").faults.texts(),
              ElementsAre("[a.json: text 2] is 2, expected a text, or an object with the key "
                          "'text'.",
                          "[a.json: text 3] 'text' is missing (keys: none), expected a text."));
  EXPECT_THAT(
      read("a.jsonl", "{\"texts\": \"one\"}\n\n{\"text\": 3}\n").faults.texts(),
      ElementsAre("[a.jsonl: text 1, line 1] 'text' is missing (keys: texts), expected a text.",
                  "[a.jsonl: text 2, line 3] 'text' is 3, expected a text."));
  EXPECT_THAT(read("a.txt", "\n \n").faults.texts(),
              ElementsAre("[a.txt] got no line with text, expected a text a line."));
  EXPECT_THAT(
      read("b.txt", "ok\n\xFF").faults.texts(),
      ElementsAre("[b.txt: line 2] not UTF-8: got the byte 0xFF at offset 3, expected UTF-8. "
                  "Convert the file, for example with iconv."));
}

TEST_F(TextFileTest, TheContentTellsTheForm) {
  const std::string lines = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  const std::string list = R"([{"text": "one"}, "two"])";
  for (const char* name : {"a.json", "a.jsonl", "a.ndjson", "a.data", "a"}) {
    EXPECT_THAT(read(name, lines).texts, ElementsAre("one", "two")) << name;
    EXPECT_THAT(read(name, list).texts, ElementsAre("one", "two")) << name;
  }
  EXPECT_THAT(read("a.json", R"({"text": "x"})").texts, ElementsAre("x"));
  EXPECT_THAT(read("a.jsonl", "\"one\"\n\"two\"\n").texts, ElementsAre("one", "two"));
  EXPECT_THAT(read("a.txt", "{x}\n[y]\n").texts, ElementsAre("{x}", "[y]"));  // always lines
  EXPECT_THAT(read("prompts", "one\ntwo\n").texts, ElementsAre("one", "two"));
}

TEST_F(TextFileTest, LineEndsOfAllKindsAreRead) {
  EXPECT_THAT(read("a.txt", "one\r\ntwo\rthree").texts, ElementsAre("one", "two", "three"));
  EXPECT_THAT(read("a.json", "\xEF\xBB\xBF{\"text\": \"one\"}\r{\"text\": \"two\"}\r").texts,
              ElementsAre("one", "two"));
}

TEST_F(TextFileTest, TablesAndCompressedFilesAreToldAsSuch) {
  EXPECT_THAT(
      read("a.csv", "one").faults.texts(),
      ElementsAre(testing::StartsWith("[a.csv] the file is a table of comma-separated "
                                      "values, expected plain text or JSON. Convert it: ")));
  EXPECT_THAT(read("a.json", "\x1F\x8B\x08").faults.texts(),
              ElementsAre("[a.json] the file is compressed by gzip, expected plain text or JSON. "
                          "Unpack it: gzip -dk 'a.json'"));
}

TEST_F(TextFileTest, AFaultyTextIsLeftOut) {
  EXPECT_THAT(read("a.json", R"(["one", 2, "three"])").texts, ElementsAre("one", "three"));
}

// ---- prompts ------------------------------------------------------------------------------------

class PromptTextsTest : public ScratchFolderTest {
 protected:
  TextFileContent read(const std::string& name, std::string_view content,
                       const std::vector<std::string>& keys = usual_prompt_keys()) const {
    TextFileContent result = read_texts(write(name, content), keys);
    result.faults = without_folder(result.faults);
    return result;
  }
};

TEST_F(PromptTextsTest, StandUnderTheFirstKeyThatAnObjectHas) {
  const auto content =
      read("a.jsonl",
           "{\"text\": \"no\", \"prompt\": \"one\"}\n"
           "{\"text\": \"no\", \"prompt\": {\"text\": \"two\", \"toxicity\": 0.5}}\n"
           "{\"input\": \"no\", \"text\": \"three\"}\n"
           "{\"input\": \"four\", \"prompt\": null}\n"
           "\"five\"\n");
  EXPECT_THAT(content.faults.texts(), IsEmpty());
  EXPECT_THAT(content.texts, ElementsAre("one", "two", "three", "four", "five"));
  EXPECT_THAT(read("a.txt", "one\ntwo\n").texts, ElementsAre("one", "two"));
}

TEST_F(PromptTextsTest, AKeyMayHaveDotsOrLeadIntoObjects) {
  EXPECT_THAT(
      read("a.json", R"([{"a": {"b": {"c": "deep"}}}, {"a.b.c": "flat"}])", {"a.b.c"}).texts,
      ElementsAre("deep", "flat"));
}

TEST_F(PromptTextsTest, FaultsNameTheKeys) {
  EXPECT_THAT(
      read("a.jsonl", "{\"prompt\": {\"texts\": \"x\"}}\n{\"a\": 1, \"b\": 2}\n7\n").faults.texts(),
      ElementsAre("[a.jsonl: text 1, line 1] 'prompt' is {\"texts\":\"x\"}, expected a text.",
                  "[a.jsonl: text 2, line 2] 'prompt' is missing (keys: a, b), expected a text "
                  "under one of the keys prompt, prompt.text, text, input.",
                  "[a.jsonl: text 3, line 3] is 7, expected a text, or an object with one of the "
                  "keys prompt, prompt.text, text, input."));
  EXPECT_THAT(read("a.json", R"([{"text": "x"}])", {"question"}).faults.texts(),
              ElementsAre("[a.json: text 1] 'question' is missing (keys: text), expected a text."));
}

}  // namespace text_file_test
}  // namespace cpx::data
