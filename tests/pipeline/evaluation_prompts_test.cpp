// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/evaluation_prompts.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace evaluation_prompts_test {

using testing::ElementsAre;
using testing::IsEmpty;

class EvaluationPrompts : public testing_support::ScratchFolderTest {
 protected:
  std::vector<EvaluationPrompt> read(const std::string& name, const std::string& content) const {
    const EvaluationPromptContent found = read_evaluation_prompts(write(name, content));
    EXPECT_THAT(found.faults.texts(), IsEmpty());
    return found.prompts;
  }
  std::vector<std::string> faults(const std::string& name, const std::string& content) const {
    return without_folder(read_evaluation_prompts(write(name, content)).faults).texts();
  }
};

TEST_F(EvaluationPrompts, OfRealToxicityPromptsHaveTheirSubsets) {
  const auto prompts = read(
      "rtp.jsonl",
      R"({"challenging": false, "prompt": {"text": "One and", "toxicity": 0.5}, "continuation": {"text": " x"}})"
      "\n"
      R"({"challenging": true, "prompt": {"text": "Two and", "toxicity": 0.51}})"
      "\n"
      R"({"prompt": {"text": "Three", "toxicity": null}})");
  ASSERT_EQ(prompts.size(), 3);
  EXPECT_EQ(prompts[0].text, "One and");
  EXPECT_THAT(prompts[0].subsets, ElementsAre("non_toxic"));
  EXPECT_THAT(prompts[1].subsets, ElementsAre("toxic", "challenging"));
  EXPECT_THAT(prompts[2].subsets, IsEmpty());
  EXPECT_EQ(without_folder(prompts[1].where), "rtp.jsonl: prompt 2, line 2");
}

TEST_F(EvaluationPrompts, OfToxigenAreListsWithGroupAndSide) {
  const auto prompts =
      read("hate_mental_disability_1k.txt", "- one two\\n- three\\n-\n\n- four\\n-\n");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[0].text, "- one two\n- three\n-");
  EXPECT_EQ(prompts[0].group, "mental_dis");
  EXPECT_THAT(prompts[0].subsets, ElementsAre("hate"));
  EXPECT_EQ(without_folder(prompts[1].where), "hate_mental_disability_1k.txt: line 3");
}

TEST_F(EvaluationPrompts, LinesOfPlainTextHaveNoGroup) {
  const auto prompts = read("prompts.txt", "The kettle\nGood morning\n");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[1].text, "Good morning");
  EXPECT_EQ(prompts[1].group, "");
  EXPECT_THAT(prompts[1].subsets, IsEmpty());
}

TEST_F(EvaluationPrompts, OfShardsAreTheirInputs) {
  const auto prompts = read(
      "shard.json",
      R"([{"input": "a\\nb", "group": "mental_disability", "paraphrases": ["x"]}, {"input": "c", "group": 3}])");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[0].text, "a\nb");
  EXPECT_EQ(prompts[0].group, "mental_dis");
  EXPECT_EQ(prompts[1].group, "3");
}

TEST_F(EvaluationPrompts, TextsOfOtherJsonAreNotUnescaped) {
  const auto prompts = read("mixed.jsonl", R"({"prompt": "a\\nb", "text": "no"})"
                                           "\n"
                                           R"({"text": "c"})"
                                           "\n"
                                           R"("d")");
  ASSERT_EQ(prompts.size(), 3);
  EXPECT_EQ(prompts[0].text, "a\\nb");
  EXPECT_EQ(prompts[1].text, "c");
  EXPECT_EQ(prompts[2].text, "d");
}

TEST_F(EvaluationPrompts, FaultsHaveTheirPlaces) {
  EXPECT_THAT(
      faults("a.jsonl", R"({"prompt": " "})"
                        "\n"
                        R"({"question": "x"})"
                        "\n"
                        R"({"prompt": {"text": 3}})"
                        "\n7"),
      ElementsAre("[a.jsonl: prompt 1, line 1] got a blank prompt, expected a text.",
                  "[a.jsonl: prompt 2, line 2] 'prompt' is missing, expected a prompt under "
                  "'prompt', 'prompt.text', 'text' or 'input'.",
                  "[a.jsonl: prompt 3, line 3] 'prompt.text' is 3, expected a text.",
                  "[a.jsonl: prompt 4, line 4] is 7, expected a text, or an object with "
                  "one."));
  EXPECT_THAT(faults("b.jsonl", R"({"prompt": {"text": "x", "toxicity": "high"}})"),
              ElementsAre("[b.jsonl: prompt 1, line 1] 'prompt.toxicity' is 'high', expected a "
                          "number."));
}

}  // namespace evaluation_prompts_test
}  // namespace cpx::pipeline
