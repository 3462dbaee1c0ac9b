// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/evaluation_texts.h"

#include <gmock/gmock.h>

#include "tests/data/temp_folder.h"

namespace cpx::evaluation {
namespace {

using objectives::Side;
using testing::ElementsAre;
using testing::IsEmpty;

class EvaluationTextsTest : public TempFolderTest {
 protected:
  std::vector<std::string> faults_of(const EvaluationTexts& texts) const {
    std::vector<std::string> faults;
    for (const std::string& fault : texts.faults) faults.push_back(without_folder(fault));
    return faults;
  }
};

/// "T g: text" for a toxic text of the group g, "N" for a neutral one.
std::vector<std::string> lines_of(const EvaluationTexts& texts) {
  std::vector<std::string> lines;
  for (const EvaluationText& text : texts.texts) {
    lines.push_back((text.side == Side::kToxic ? "T " : "N ") + text.group + ": " + text.text);
  }
  return lines;
}

TEST_F(EvaluationTextsTest, ShardsGiveBothSidesWithTheirGroup) {
  write("b.json", R"([{"group": "h", "paraphrases": ["n3"], "paraphrases_toxic": {"t2": 1}}])");
  write("a.json",
        R"([{"group": "g", "paraphrases": ["n1", "n2"], "paraphrases_toxic": ["t\\n1"]}])");
  const std::vector<std::string> patterns = {(folder_ / "*.json").string()};
  const EvaluationTexts texts = read_shard_texts(patterns);
  EXPECT_THAT(texts.faults, IsEmpty());
  EXPECT_THAT(lines_of(texts),
              ElementsAre("N g: n1", "N g: n2", "T g: t\n1", "N h: n3", "T h: t2"));
}

TEST_F(EvaluationTextsTest, FaultsOfShardsAreHandedOn) {
  const std::vector<std::string> patterns = {write("a.json", "[3]").string(),
                                             (folder_ / "none.json").string()};
  EXPECT_THAT(faults_of(read_shard_texts(patterns)),
              ElementsAre("[none.json] no such file: got nothing there, expected a file.",
                          "[a.json: record 1] got the number 3, expected an object."));
}

TEST_F(EvaluationTextsTest, AFileASideIsReadInItsForm) {
  const EvaluationTexts texts =
      read_side_texts(write("t.txt", "one\ntwo\n"), write("n.jsonl", "{\"text\": \"three\"}\n"));
  EXPECT_THAT(texts.faults, IsEmpty());
  EXPECT_THAT(lines_of(texts), ElementsAre("T : one", "T : two", "N : three"));
}

TEST_F(EvaluationTextsTest, ASideMayBeLeftOutAndFaultsOfBothAreCollected) {
  EXPECT_THAT(lines_of(read_side_texts(std::nullopt, write("n.txt", "one"))),
              ElementsAre("N : one"));
  EXPECT_THAT(faults_of(read_side_texts(write("t.json", "[1]"), write("n2.json", "[2]"))),
              ElementsAre("[t.json: text 1] got the number 1, expected a text.",
                          "[n2.json: text 1] got the number 2, expected a text."));
}

}  // namespace
}  // namespace cpx::evaluation
