// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/score_texts.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::evaluation {
namespace score_texts_test {

using tokenizer::TokenId;

// A model whose NLLs can be told by hand: a token's hidden state is the number of tokens that it
// sees, itself included, and nll(target) = target + seen / 1000.
class CountingModel : public nn::CausalLm {
 public:
  torch::Tensor hidden_states(const nn::PackedTokens& tokens, const nn::ForwardOptions&) override {
    batch_sizes.push_back(tokens.ids.size(0));
    auto seen = at::empty({tokens.ids.size(0), 1}, at::kFloat);
    float* values = seen.mutable_data_ptr<float>();
    for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
      for (int32_t at = tokens.cu_seqlens[text]; at < tokens.cu_seqlens[text + 1]; ++at) {
        values[at] = static_cast<float>(at - tokens.cu_seqlens[text] + 1);
      }
    }
    return seen;
  }
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const nn::ForwardOptions&) override {
    return targets.to(at::kFloat) + hidden.select(1, 0) / 1000.0;
  }
  torch::Tensor logits(const torch::Tensor&, const nn::ForwardOptions&) override { return {}; }
  std::vector<nn::NamedParameter> trainable() const override { return {}; }
  const nn::ModelShape& shape() const override { return shape_; }
  torch::Device device() const override { return torch::kCPU; }
  torch::Dtype dtype() const override { return torch::kFloat32; }

  std::vector<int64_t> batch_sizes;

 private:
  nn::ModelShape shape_;
};

class ScoreTexts : public testing::Test {
 protected:
  std::vector<TextScore> score(const std::vector<std::vector<TokenId>>& texts,
                               const TextScoreOptions& options = {}) {
    const std::vector<TokenSpan> spans(texts.begin(), texts.end());
    return score_texts(model_, spans, options);
  }

  CountingModel model_;
};

TEST_F(ScoreTexts, EveryTokenButTheFirstIsPredicted) {
  // Text 5 6 7: nll 6 + .001, 7 + .002. Text 3 4: nll 4 + .001.
  const auto scores = score({{5, 6, 7}, {3, 4}});
  ASSERT_EQ(scores.size(), 2);
  EXPECT_NEAR(scores[0].nll_sum, 13.003, 1e-5);
  EXPECT_EQ(scores[0].tokens, 2);
  EXPECT_NEAR(scores[1].nll_sum, 4.001, 1e-5);
  EXPECT_EQ(scores[1].tokens, 1);
}

TEST_F(ScoreTexts, TextsWithoutAPredictionHaveNoTokens) {
  const auto scores = score({{}, {9}, {1, 2}});
  EXPECT_EQ(scores[0].tokens, 0);
  EXPECT_EQ(scores[1].tokens, 0);
  EXPECT_EQ(scores[1].nll_sum, 0.0);
  EXPECT_EQ(scores[2].tokens, 1);
}

TEST_F(ScoreTexts, BatchesHoldNoMoreTokensThanAskedForAndChangeNothing) {
  const std::vector<std::vector<TokenId>> texts = {{1, 2}, {3, 4, 5, 6, 7, 8}, {9, 1, 2}, {4, 4}};
  const auto one = score(texts, {.batch_tokens = 1});
  model_.batch_sizes.clear();
  const auto some = score(texts, {.batch_tokens = 5});
  // Of the batches of 6, 2 + 3 and 2 tokens each text's last one is not computed.
  EXPECT_EQ(model_.batch_sizes, (std::vector<int64_t>{5, 3, 1}));
  ASSERT_EQ(one.size(), some.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].nll_sum, some[i].nll_sum);
    EXPECT_EQ(one[i].tokens, some[i].tokens);
  }
}

TEST_F(ScoreTexts, WindowsPredictEachTokenOnceWithWhatTheyHoldOfTheText) {
  // Tokens 10..16, window 4, stride 2. Window [0,4) predicts 11, 12, 13 from 1, 2, 3 seen tokens.
  // Window [2,6) holds 12 13 14 15 and predicts 14 from 2, 15 from 3. Window [4,7) holds 14 15 16
  // and predicts 16 from 2.
  const auto scores = score({{10, 11, 12, 13, 14, 15, 16}}, {.window = 4, .stride = 2});
  EXPECT_EQ(scores[0].tokens, 6);
  EXPECT_NEAR(scores[0].nll_sum, 11.001 + 12.002 + 13.003 + 14.002 + 15.003 + 16.002, 1e-4);
}

TEST_F(ScoreTexts, AStrideOfTheWholeWindowStillPredictsEachTokenFromItsOwnText) {
  // Tokens 10..14, window 3, stride 3. Window [0,3) predicts 11 and 12 from 1 and 2 seen tokens;
  // the next one begins at 2, not at 3, and predicts 13 and 14 from 1 and 2.
  const auto scores = score({{10, 11, 12, 13, 14}}, {.window = 3, .stride = 3});
  EXPECT_EQ(scores[0].tokens, 4);
  EXPECT_NEAR(scores[0].nll_sum, 11.001 + 12.002 + 13.001 + 14.002, 1e-4);
}

TEST_F(ScoreTexts, EachTokenIsPredictedOnceUnderEveryWindowAndStride) {
  // All ids are 0, so a text's NLL is the sum of what its predictions saw, in thousandths.
  for (int64_t length = 2; length < 14; ++length) {
    const std::vector<std::vector<TokenId>> texts = {std::vector<TokenId>(length, 0)};
    for (int64_t window = 2; window < 8; ++window) {
      for (int64_t stride = 1; stride <= window; ++stride) {
        const auto scores = score(texts, {.window = window, .stride = stride});
        EXPECT_EQ(scores[0].tokens, length - 1);
        double seen = 0.0;
        for (int64_t target = 1, begin = 0; target < length; ++target) {
          if (target == begin + window) begin += std::min(stride, window - 1);
          seen += static_cast<double>(target - begin);
        }
        EXPECT_NEAR(scores[0].nll_sum * 1000.0, seen, 1e-3)
            << length << " " << window << " " << stride;
      }
    }
  }
}

TEST_F(ScoreTexts, HalfAWindowIsTheDefaultStride) {
  const std::vector<std::vector<TokenId>> texts = {{10, 11, 12, 13, 14, 15, 16}};
  EXPECT_EQ(score(texts, {.window = 4})[0].nll_sum,
            score(texts, {.window = 4, .stride = 2})[0].nll_sum);
}

TEST_F(ScoreTexts, AStrideBeyondTheWindowIsRefused) {
  EXPECT_THROW(score({{1, 2, 3}}, {.window = 2, .stride = 3}), std::invalid_argument);
}

TEST_F(ScoreTexts, StopsWhenAskedTo) {
  EXPECT_TRUE(
      score({{1, 2}, {3, 4}}, {.batch_tokens = 2, .on_progress = [](int64_t) { return false; }})
          .empty());
  EXPECT_EQ(model_.batch_sizes.size(), 1);
}

TEST_F(ScoreTexts, GoesOnBehindAnyBatchWithTheSameScores) {
  const std::vector<std::vector<TokenId>> texts = {{5, 6, 7}, {3, 4}, {1, 2, 3, 4}, {8, 9}, {}};
  std::vector<std::vector<double>> batches;
  TextScoreOptions options{.batch_tokens = 4};
  options.on_batch = [&](std::span<const double> sums) {
    batches.emplace_back(sums.begin(), sums.end());
  };
  const auto whole = score(texts, options);
  ASSERT_EQ(batches.size(), 3);  // 4 tokens, 3, 2 + 2
  for (size_t num_done = 0; num_done <= batches.size(); ++num_done) {
    TextScoreOptions rest{.batch_tokens = 4};
    for (size_t i = 0; i < num_done; ++i) {
      rest.known_sums.insert(rest.known_sums.end(), batches[i].begin(), batches[i].end());
    }
    model_.batch_sizes.clear();
    const auto again = score(texts, rest);
    EXPECT_EQ(model_.batch_sizes.size(), batches.size() - num_done);
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(again[i].nll_sum, whole[i].nll_sum);
      EXPECT_EQ(again[i].tokens, whole[i].tokens);
    }
  }
}

TEST_F(ScoreTexts, KnownSumsThatEndWithinABatchAreRefused) {
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>([&] {
              score({{1, 2}, {3, 4}}, {.known_sums = {1.0}});
            }),
            "[score_texts] got 1 known sums, expected them to end with a batch (0 or 2).");
}

TEST_F(ScoreTexts, PublishedModeAveragesTheWindowsMeansUnweighted) {
  // Tokens 10..14, window 3, stride 2. Window [0,3): 11.001, 12.002, mean 11.5015.
  // Window [2,5): tokens 12 13 14 predicts 13 from 1 seen, 14 from 2: mean 13.5015.
  const std::vector<TokenId> text = {10, 11, 12, 13, 14};
  const TextScore even = score_published(model_, text, /*window=*/3, /*stride=*/2);
  EXPECT_EQ(even.tokens, 4);
  EXPECT_NEAR(even.nll_sum / 4.0, (11.5015 + 13.5015) / 2, 1e-5);

  // Six tokens: a third window [4,6) holds 14 15 and predicts 15 from 1 alone. Its mean weighs as
  // much as the others'.
  const std::vector<TokenId> longer = {10, 11, 12, 13, 14, 15};
  const TextScore uneven = score_published(model_, longer, /*window=*/3, /*stride=*/2);
  EXPECT_EQ(uneven.tokens, 5);
  EXPECT_NEAR(uneven.nll_sum / 5.0, (11.5015 + 13.5015 + 15.001) / 3, 1e-5);
}

}  // namespace score_texts_test
}  // namespace cpx::evaluation
