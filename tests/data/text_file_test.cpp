// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/text_file.h"

#include <gmock/gmock.h>

#include "temp_folder.h"

namespace cpx::data {
namespace text_file_test {

using testing::ElementsAre;
using testing::IsEmpty;

class TextFileTest : public TempFolderTest {
 protected:
  TextFileContent read(const std::string& name, std::string_view content) const {
    TextFileContent result = read_texts(write(name, content));
    for (std::string& fault : result.faults) fault = without_folder(fault);
    return result;
  }
};

TEST_F(TextFileTest, LinesOfATextFileAreTexts) {
  const auto content = read("a.txt", "\xEF\xBB\xBFone \\n\r\n\n \t\n  two\nthree");
  EXPECT_THAT(content.faults, IsEmpty());
  EXPECT_THAT(content.texts, ElementsAre("one \\n", "  two", "three"));
}

TEST_F(TextFileTest, JsonListAndLinesAreTexts) {
  EXPECT_THAT(read("a.json", R"(["one\ntwo", "", "x"])").texts, ElementsAre("one\ntwo", "", "x"));
  EXPECT_THAT(read("a.jsonl", "{\"text\": \"one\", \"label\": 1}\n\n{\"text\": \"two\"}\n").texts,
              ElementsAre("one", "two"));
}

TEST_F(TextFileTest, FaultsHaveTheirPlace) {
  EXPECT_THAT(read("a.json", R"(["one", 2, {"text": "x"}])").faults,
              ElementsAre("[a.json: text 2] got the number 2, expected a text.",
                          "[a.json: text 3] got an object, expected a text."));
  EXPECT_THAT(
      read("a.jsonl", "{\"texts\": \"one\"}\n\n{\"text\": 3}\n\"four\"\n").faults,
      ElementsAre("[a.jsonl: text 1, line 1] text: got no such key, expected a text.",
                  "[a.jsonl: text 2, line 3] text: got the number 3, expected a text.",
                  "[a.jsonl: text 3, line 4] got the text \"four\", expected an object with "
                  "the key 'text'."));
  EXPECT_THAT(read("a.txt", "\n \n").faults,
              ElementsAre("[a.txt] got no line with text, expected a text a line."));
  EXPECT_THAT(
      read("b.txt", "ok\n\xFF").faults,
      ElementsAre("[b.txt: line 2] not UTF-8: got the byte 0xFF at offset 3, expected UTF-8. "
                  "Convert the file, for example with iconv."));
  EXPECT_THAT(
      read("a.csv", "one").faults,
      ElementsAre("[a.csv] the name's ending tells the format: got '.csv', expected .txt (a "
                  "text a line), .json (a list of texts) or .jsonl (objects with the key "
                  "'text')."));
  EXPECT_THAT(
      read("b.json", R"({"text": "x"})").faults,
      ElementsAre("[b.json] top level: got an object, expected a list of texts. A text a line "
                  "needs a name that ends in .jsonl."));
}

TEST_F(TextFileTest, AFaultyTextIsLeftOut) {
  EXPECT_THAT(read("a.json", R"(["one", 2, "three"])").texts, ElementsAre("one", "three"));
}

}  // namespace text_file_test
}  // namespace cpx::data
