// SPDX-License-Identifier: Apache-2.0
// The model's NLL of a target behind c tokens is target + 1000 c (counting_model.h).
#include "cpx/evaluation/perplexity.h"

#include <cmath>
#include <gmock/gmock.h>
#include <stdexcept>

#include <gtest/gtest.h>

#include "counting_model.h"
#include "tests/data/byte_tokenizer.h"

namespace cpx::evaluation {
namespace {

using objectives::Side;
using testing::ElementsAre;
using testing::Pair;

std::vector<data::EncodedText> encoded(const std::vector<std::vector<tokenizer::TokenId>>& texts) {
  std::vector<data::EncodedText> result;
  for (const auto& ids : texts) result.push_back({.ids = ids});
  return result;
}

std::vector<std::pair<double, int64_t>> score(CountingModel& model,
                                              const std::vector<data::EncodedText>& texts,
                                              const ScoreOptions& options) {
  std::vector<std::pair<double, int64_t>> result;
  for (const TextScore& text : score_texts(model, texts, options).value()) {
    result.emplace_back(text.nll_sum, text.tokens);
  }
  return result;
}

// [5 6 7]: 6 after 1 token, 7 after 2: 13 + 3000. [8 9]: 9 + 1000. [1 2 3 4]: 9 + 6000.
TEST(ScoreTexts, IsTheSumWorkedOutByHandInTheOrderGiven) {
  CountingModel model;
  EXPECT_THAT(score(model, encoded({{5, 6, 7}, {8, 9}, {1, 2, 3, 4}}), {}),
              ElementsAre(Pair(3013.0, 2), Pair(1009.0, 1), Pair(6009.0, 3)));
}

TEST(ScoreTexts, TextsWithoutAPredictedTokenScoreNothingAndAreNotComputed) {
  CountingModel model;
  EXPECT_THAT(score(model, encoded({{5}, {}, {8, 9}}), {}),
              ElementsAre(Pair(0.0, 0), Pair(0.0, 0), Pair(1009.0, 1)));
  EXPECT_THAT(model.packs, ElementsAre(ElementsAre(0, 2)));
  EXPECT_THAT(score(model, encoded({{5}}), {}), ElementsAre(Pair(0.0, 0)));
  EXPECT_THAT(score(model, {}, {}), ElementsAre());
}

// Lengths 2, 5, 3, 2, 4 by length: 5 | 4, 3 would be 7 > 6, so 4, then 3 + 2 | 2.
TEST(ScoreTexts, PacksHoldABoundedNumberOfTokensLongestTextsFirst) {
  CountingModel model;
  const auto texts = encoded({{1, 1}, {2, 2, 2, 2, 2}, {3, 3, 3}, {4, 4}, {5, 5, 5, 5}});
  EXPECT_THAT(score(model, texts, {.tokens_per_batch = 6}),
              ElementsAre(Pair(1001.0, 1), Pair(10008.0, 4), Pair(3006.0, 2), Pair(1004.0, 1),
                          Pair(6015.0, 3)));
  EXPECT_THAT(model.packs, ElementsAre(ElementsAre(0, 5), ElementsAre(0, 4), ElementsAre(0, 3, 5),
                                       ElementsAre(0, 2)));
}

TEST(ScoreTexts, ATextLongerThanABatchIsComputedByItself) {
  CountingModel model;
  EXPECT_THAT(score(model, encoded({{1, 1, 1}, {2, 2}}), {.tokens_per_batch = 1}),
              ElementsAre(Pair(3002.0, 2), Pair(1002.0, 1)));
  EXPECT_EQ(model.packs.size(), 2);
}

// Eight tokens of id 0, window 4, stride 2. Window 0-3 predicts 1, 2, 3 from 1, 2, 3 tokens: 6000;
// 2-5 predicts 4 and 5 from 2 and 3: 5000; 4-7 predicts 6 and 7 from 2 and 3: 5000.
TEST(ScoreTexts, ALongTextGoesInWindowsThatPredictEachTokenOnce) {
  CountingModel model;
  const auto texts = encoded({std::vector<tokenizer::TokenId>(8, 0)});
  EXPECT_THAT(score(model, texts, {.tokens_per_batch = 8, .window = 4, .stride = 2}),
              ElementsAre(Pair(16000.0, 7)));
  EXPECT_EQ(model.num_predictions, 7);  // those that only give context are not predicted again
  EXPECT_THAT(model.packs, ElementsAre(ElementsAre(0, 4, 8), ElementsAre(0, 4)));
}

TEST(ScoreTexts, WindowAndStrideDefaultToTheModelsLengthAndHalfOfIt) {
  CountingModel model;
  model.sizes.max_position = 4;
  const auto texts = encoded({std::vector<tokenizer::TokenId>(8, 0)});
  EXPECT_THAT(score(model, texts, {}), ElementsAre(Pair(16000.0, 7)));  // as window 4, stride 2
  model.sizes.max_position = 0;  // no limit known: 1000 * (1 + ... + 7)
  EXPECT_THAT(score(model, texts, {}), ElementsAre(Pair(28000.0, 7)));
}

TEST(ScoreTexts, NoGradientIsRecorded) {
  CountingModel model;
  score(model, encoded({{1, 2}}), {});
  EXPECT_FALSE(model.saw_gradient_mode);
  EXPECT_TRUE(torch::GradMode::is_enabled());  // as before the call
}

TEST(ScoreTexts, ProgressIsToldAndStopsTheJob) {
  CountingModel model;
  std::vector<std::pair<int64_t, int64_t>> told;
  ScoreOptions options{.tokens_per_batch = 3};
  options.keep_going = [&](int64_t done, int64_t total) {
    told.emplace_back(done, total);
    return true;
  };
  const auto texts = encoded({{1, 1, 1}, {2, 2}, {3, 3}});
  EXPECT_TRUE(score_texts(model, texts, options).has_value());
  EXPECT_THAT(told, ElementsAre(Pair(0, 7), Pair(3, 7), Pair(5, 7), Pair(7, 7)));

  CountingModel stopped;
  options.keep_going = [](int64_t done, int64_t) { return done < 3; };
  EXPECT_FALSE(score_texts(stopped, texts, options).has_value());
  EXPECT_EQ(stopped.packs.size(), 1);
}

TEST(ScoreTexts, WrongOptionsAreErrors) {
  CountingModel model;
  const auto texts = encoded({{1, 2, 3}});
  try {
    score_texts(model, texts, {.tokens_per_batch = 0});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "[segment_nll_sums] tokens_per_batch: got 0, expected 1 or more.");
  }
  EXPECT_THROW(score_texts(model, texts, {.window = 1}), std::invalid_argument);
  EXPECT_THROW(score_texts(model, texts, {.window = 4, .stride = 5}), std::invalid_argument);
}

// Six tokens, window 4, stride 1. Window 0-3 predicts 1, 2, 3 from 1, 2, 3 tokens, 1-4 predicts 4
// from 3 tokens, 2-5 predicts 5 from 3. The ids take the thousands away: NLLs 0 1 2 | 2 | 3, means
// 1, 2, 3, whose mean is 2; over the tokens it would be 8 / 5.
TEST(ScorePublished, IsTheUnweightedMeanOfTheWindowMeans) {
  CountingModel model;
  const std::vector<tokenizer::TokenId> ids = {7, -1000, -1999, -2998, -2998, -2997};
  const auto scored = score_published(model, ids, {.window = 4, .stride = 1}).value();
  EXPECT_EQ(scored.windows, 3);
  EXPECT_EQ(scored.tokens, 5);
  EXPECT_NEAR(scored.perplexity.value(), std::exp(2.0), 1e-12);
}

TEST(ScorePublished, APerplexityThatOverflowsIsNone) {
  CountingModel model;
  const std::vector<tokenizer::TokenId> ids = {0, 0};  // NLL 1000
  const auto scored = score_published(model, ids).value();
  EXPECT_EQ(scored.tokens, 1);
  EXPECT_FALSE(scored.perplexity.has_value());
}

TEST(ScorePublished, NothingToPredictGivesNoPerplexity) {
  CountingModel model;
  const std::vector<tokenizer::TokenId> one = {5};
  const auto scored = score_published(model, one).value();
  EXPECT_EQ(scored.windows, 0);
  EXPECT_FALSE(scored.perplexity.has_value());
  PublishedOptions options;
  options.keep_going = [](int64_t, int64_t) { return false; };
  EXPECT_FALSE(score_published(model, std::vector<tokenizer::TokenId>{5, 6}, options).has_value());
}

data::TextEncoder plain_encoder() {
  return data::TextEncoder(std::make_shared<ByteTokenizer>(),
                           {.append_eos = false, .max_tokens = 0});
}

// A byte is its own id behind BOS: "\1" is [BOS 1], NLL 1001.
TEST(EvaluatePerplexity, SummarisesBothSidesAndCountsTextsWithoutAPrediction) {
  CountingModel model;
  const std::vector<EvaluationText> texts = {{Side::kToxic, "g", "\1\2"},  // 1001 + 2002, 2 tokens
                                             {Side::kNeutral, "g", "\4"},  // 1004
                                             {Side::kNeutral, "", ""},     // BOS alone
                                             {Side::kToxic, "h", "\3"}};   // 1003
  const auto summary = evaluate_perplexity(model, plain_encoder(), texts).value();
  EXPECT_EQ(summary.all.toxic.texts, 2);
  EXPECT_EQ(summary.all.toxic.tokens, 3);
  EXPECT_EQ(summary.all.neutral.texts, 1);
  EXPECT_EQ(summary.all.neutral.skipped, 1);
  EXPECT_EQ(summary.all.neutral.tokens, 1);
  // m of the toxic texts: 1501.5 and 1003, of the neutral one 1004: one pair of two is above.
  EXPECT_EQ(summary.all.separation.value(), 0.5);
  EXPECT_EQ(summary.groups.at("g").separation.value(), 1.0);
  EXPECT_EQ(summary.groups.size(), 2);
}

// Toxic: BOS \1 \n \n \2 as one text, so \2 is predicted from four tokens.
TEST(EvaluatePublished, JoinsEachSideByABlankLine) {
  CountingModel model;
  const std::vector<EvaluationText> texts = {
      {Side::kToxic, "g", "\1"}, {Side::kNeutral, "g", "\7"}, {Side::kToxic, "g", "\2"}};
  const auto summary = evaluate_published(model, plain_encoder(), texts).value();
  EXPECT_THAT(model.packs, ElementsAre(ElementsAre(0, 5), ElementsAre(0, 2)));
  EXPECT_EQ(summary.all.toxic.texts, 2);
  EXPECT_EQ(summary.all.toxic.tokens, 4);
  EXPECT_EQ(summary.all.neutral.tokens, 1);
  EXPECT_FALSE(summary.all.toxic.mean_text_perplexity.has_value());
  EXPECT_FALSE(summary.all.separation.has_value());
  EXPECT_TRUE(summary.groups.empty());
}

TEST(EvaluatePublished, OneSideAloneHasNoRatio) {
  CountingModel model;
  const std::vector<EvaluationText> texts = {{Side::kNeutral, "", "\1"}};
  const auto summary = evaluate_published(model, plain_encoder(), texts).value();
  EXPECT_EQ(summary.all.toxic.texts, 0);
  EXPECT_FALSE(summary.all.ratio.has_value());
}

}  // namespace
}  // namespace cpx::evaluation
