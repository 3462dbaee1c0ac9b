// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/pair_batch.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

namespace cpx::data {
namespace pair_batch_test {

using testing::ElementsAre;
using testing::IsEmpty;

EncodedPair pair_of(std::vector<tokenizer::TokenId> prompt,
                    std::vector<std::vector<tokenizer::TokenId>> answers) {
  EncodedPair pair{.prompt = std::move(prompt)};
  for (auto& ids : answers) pair.answers.push_back({.ids = std::move(ids)});
  return pair;
}

// The prompt 1 2 with the answers 3 4 5 and 6, then the prompt 7 with the answers 8 9 and 8 10.
std::vector<EncodedPair> two_pairs() {
  return {pair_of({1, 2}, {{3, 4, 5}, {6}}), pair_of({7}, {{8, 9}, {8, 10}})};
}

TEST(PairBatch, AnswersApartArePredictedBehindTheirPrompt) {
  const auto packed = pack_pairs(two_pairs(), /*shares_prompts=*/false);
  EXPECT_THAT(packed.ids, ElementsAre(1, 2, 3, 4, 5, 1, 2, 6, 7, 8, 9, 7, 8, 10));
  EXPECT_THAT(packed.cu_seqlens, ElementsAre(0, 5, 8, 11, 14));
  EXPECT_THAT(packed.rows, ElementsAre(1, 2, 3, 6, 8, 9, 11, 12));
  EXPECT_THAT(packed.targets, ElementsAre(3, 4, 5, 6, 8, 9, 8, 10));
  EXPECT_THAT(packed.token_of_place, IsEmpty());
}

// Tokens 0 1 (prompt) 2 3 (3 4 of the first answer), 4 (prompt), 5 (8 of the one answer), 6 (8 of
// the other): an answer's last token predicts nothing.
TEST(PairBatch, ASharedPromptStandsOnce) {
  const auto packed = pack_pairs(two_pairs(), /*shares_prompts=*/true);
  EXPECT_THAT(packed.ids, ElementsAre(1, 2, 3, 4, 7, 8, 8));
  EXPECT_THAT(packed.token_of_place, ElementsAre(0, 1, 2, 3, 0, 1, 4, 5, 4, 6));
  EXPECT_THAT(packed.cu_seqlens, ElementsAre(0, 4, 6, 8, 10));
  EXPECT_THAT(packed.rows, ElementsAre(1, 2, 3, 1, 4, 5, 4, 6));
  EXPECT_EQ(packed.num_tokens, 7);
}

TEST(PairBatch, PredictionsAndTextsAreTheSameBothWays) {
  const auto shared = pack_pairs(two_pairs(), /*shares_prompts=*/true);
  const auto apart = pack_pairs(two_pairs(), /*shares_prompts=*/false);
  EXPECT_EQ(shared.targets, apart.targets);
  EXPECT_EQ(shared.num_groups, 2);
  EXPECT_EQ(apart.num_groups, 2);
  ASSERT_EQ(shared.texts.size(), 4);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(shared.texts[i].group, apart.texts[i].group) << i;
    EXPECT_EQ(shared.texts[i].role, apart.texts[i].role) << i;
    EXPECT_EQ(shared.texts[i].first, apart.texts[i].first) << i;
    EXPECT_EQ(shared.texts[i].count, apart.texts[i].count) << i;
  }
  EXPECT_EQ(shared.texts[1].role, TextRole::kHardNegative);
  // Four texts of 5 tokens at most are 20; 14 are there.
  EXPECT_EQ(apart.num_padded_tokens, 6);
  EXPECT_EQ(shared.num_padded_tokens, 6);
}

// Nothing stands before an answer's first token, so nothing predicts it.
TEST(PairBatch, WithoutAPromptTheFirstTokenIsGiven) {
  const std::vector<EncodedPair> pairs = {pair_of({}, {{3, 4}, {5}})};
  const auto shared = pack_pairs(pairs, /*shares_prompts=*/true);
  EXPECT_THAT(shared.ids, ElementsAre(3, 5));
  EXPECT_THAT(shared.targets, ElementsAre(4));
  EXPECT_THAT(shared.cu_seqlens, ElementsAre(0, 1, 2));
  EXPECT_EQ(shared.texts[0].count, 1);
  EXPECT_EQ(shared.texts[1].count, 0);
  EXPECT_EQ(pack_pairs(pairs, /*shares_prompts=*/false).targets, shared.targets);
}

}  // namespace pair_batch_test
}  // namespace cpx::data
