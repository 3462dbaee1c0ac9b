// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/continuations.h"

#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace continuations_test {

using testing::ElementsAre;

class Continuations : public testing_support::ScratchFolderTest {
 protected:
  std::vector<ContinuedPrompt> read(const std::string& content) const {
    return read_continuations(write("a.jsonl", content));
  }
  std::string error(const std::string& content) const {
    return data_error_of([&] { read(content); });
  }
};

TEST_F(Continuations, BelongToTheirPrompts) {
  const auto prompts = read(
      R"({"prompt": "one", "group": "mental_disability", "subsets": ["toxic"], "sample": 0, "text": " a", "tokens": 2, "finish": "length"})"
      "\n"
      R"({"prompt": "one", "sample": 1, "text": "", "tokens": 0})"
      "\n"
      R"({"prompt": "two", "sample": 0, "text": " c"})");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[0].prompt, "one");
  EXPECT_EQ(prompts[0].group, "mental_dis");
  EXPECT_THAT(prompts[0].subsets, ElementsAre("toxic"));
  ASSERT_EQ(prompts[0].texts.size(), 2);
  EXPECT_EQ(prompts[0].texts[0].text, " a");
  EXPECT_EQ(prompts[0].texts[0].tokens, 2);
  EXPECT_EQ(prompts[0].texts[1].text, "");
  EXPECT_EQ(prompts[0].texts[1].sample, 1);
  EXPECT_FALSE(prompts[1].texts[0].tokens.has_value());
  EXPECT_EQ(without_folder(prompts[1].texts[0].where), "a.jsonl: record 3, line 3");
}

TEST_F(Continuations, APromptThatStoodTwiceStaysTwo) {
  const auto prompts = read(R"({"prompt": "one", "sample": 0, "text": "a"})"
                            "\n"
                            R"({"prompt": "one", "sample": 1, "text": "b"})"
                            "\n"
                            R"({"prompt": "one", "sample": 0, "text": "c"})"
                            "\n"
                            R"({"prompt": "one", "sample": 1, "text": "d"})");
  ASSERT_EQ(prompts.size(), 2);
  EXPECT_EQ(prompts[1].texts[0].text, "c");
  EXPECT_EQ(prompts[1].texts[1].text, "d");
}

TEST_F(Continuations, WithoutSampleNumbersAPromptTakesAllItsTexts) {
  const auto prompts = read(R"({"prompt": {"text": "one"}, "continuation": {"text": "a"}})"
                            "\n"
                            R"({"prompt": "two", "continuation": "b"})"
                            "\n"
                            R"({"prompt": "one", "text": "c"})");
  ASSERT_EQ(prompts.size(), 2);
  ASSERT_EQ(prompts[0].texts.size(), 2);
  EXPECT_EQ(prompts[0].texts[1].text, "c");
  EXPECT_EQ(prompts[0].texts[1].sample, 1);
  EXPECT_EQ(prompts[1].texts[0].text, "b");
}

TEST_F(Continuations, WhatIsMissingIsToldWithItsPlace) {
  EXPECT_EQ(error(R"({"prompt": "one", "text": "a"})"
                  "\n"
                  R"({"prompt": "one", "text": null})"),
            "[a.jsonl: record 2, line 2] 'text' is missing, expected a text under 'text', "
            "'continuation' or 'continuation.text'.");
  EXPECT_EQ(error(R"({"text": "a"})"),
            "[a.jsonl: record 1, line 1] 'prompt' is missing, expected a text under 'prompt' or "
            "'prompt.text'.");
  EXPECT_EQ(error(R"({"prompt": "one", "side": "base", "text": "a"})"
                  "\n"
                  R"({"prompt": "one", "side": "adapter", "text": "b"})"),
            "[a.jsonl: record 2, line 2] 'side' is 'adapter', expected that of the first line: a "
            "file holds the continuations of one model.");
}

}  // namespace continuations_test
}  // namespace cpx::pipeline
