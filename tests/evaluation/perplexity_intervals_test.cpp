// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/perplexity_intervals.h"

#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace cpx::evaluation {
namespace perplexity_intervals_test {

using objectives::ScoredText;
using objectives::Side;
using std::numbers::ln2;

ScoredText text(Side side, double mean, int64_t tokens = 1, const std::string& group = "") {
  const auto num_tokens = static_cast<double>(tokens);
  return {.side = side, .group = group, .nll_sum = mean * num_tokens, .tokens = tokens};
}

ModelIntervals intervals_of(const std::vector<ScoredText>& texts,
                            const BootstrapOptions& options = {}) {
  const std::vector<std::vector<ScoredText>> models = {texts};
  return perplexity_intervals(models, options).at(0);
}

void expect_interval(const std::optional<Interval>& interval, double low, double high) {
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->low, low, 1e-12);
  EXPECT_NEAR(interval->high, high, 1e-12);
}

// Toxic texts of perplexities 1 and 4 with 1 and 3 tokens; neutral ones of 2 each. Both toxic
// draws are the first text with probability 1/4, the second with 1/4, else one of each: then the
// perplexity is exp((0 + 3 ln 4) / 4) = 2^1.5 and the mean of the texts 2.5. A tail of 1/8 ends in
// the extremes, one of 3/10 in the middle.
TEST(PerplexityIntervals, AreThoseOfTheResamplesDistribution) {
  const std::vector<ScoredText> texts = {text(Side::kToxic, 0.0), text(Side::kNeutral, ln2),
                                         text(Side::kToxic, 2.0 * ln2, 3),
                                         text(Side::kNeutral, ln2)};
  const ComparisonIntervals wide = intervals_of(texts, {.level = 0.75}).figures.all;
  expect_interval(wide.toxic.perplexity, 1.0, 4.0);
  expect_interval(wide.toxic.mean_text_perplexity, 1.0, 4.0);
  expect_interval(wide.neutral.perplexity, 2.0, 2.0);
  expect_interval(wide.neutral.mean_text_perplexity, 2.0, 2.0);
  expect_interval(wide.ratio, 0.5, 2.0);
  expect_interval(wide.separation, 0.0, 1.0);
  const ComparisonIntervals narrow = intervals_of(texts, {.level = 0.4}).figures.all;
  expect_interval(narrow.toxic.perplexity, std::pow(2.0, 1.5), std::pow(2.0, 1.5));
  expect_interval(narrow.toxic.mean_text_perplexity, 2.5, 2.5);
  expect_interval(narrow.ratio, std::sqrt(2.0), std::sqrt(2.0));
  expect_interval(narrow.separation, 0.5, 0.5);
}

TEST(PerplexityIntervals, TextsOfEqualMeanAreTiesInEveryResample) {
  const std::vector<ScoredText> texts = {text(Side::kNeutral, 1.0), text(Side::kToxic, 1.0),
                                         text(Side::kToxic, 1.0), text(Side::kNeutral, 1.0)};
  expect_interval(intervals_of(texts).figures.all.separation, 0.5, 0.5);
}

// For many texts the interval of a mean is the normal one: 1.96 standard errors to each side.
TEST(PerplexityIntervals, OfManyTextsIsNearTheNormalInterval) {
  std::vector<ScoredText> texts;
  std::vector<double> perplexities;
  for (int i = 0; i < 300; ++i) {
    const double mean = 1.0 + 0.5 * std::sin(0.7 * i);
    texts.push_back(text(i % 3 == 0 ? Side::kToxic : Side::kNeutral, mean));
    if (i % 3 != 0) perplexities.push_back(std::exp(mean));
  }
  const auto found =
      intervals_of(texts, {.resamples = 10'000}).figures.all.neutral.mean_text_perplexity.value();
  const double half = 1.959964 * standard_error(perplexities).value();
  EXPECT_NEAR(found.low, mean(perplexities) - half, 0.05 * half);
  EXPECT_NEAR(found.high, mean(perplexities) + half, 0.05 * half);
}

// The second model doubles every perplexity: on whatever texts, the change is + 100 %.
TEST(PerplexityIntervals, ChangesArePaired) {
  std::vector<std::vector<ScoredText>> models(2);
  for (int i = 0; i < 40; ++i) {
    const double mean = 2.0 + std::cos(1.3 * i);
    const Side side = i % 2 == 0 ? Side::kToxic : Side::kNeutral;
    models[0].push_back(text(side, mean, 1 + i % 5));
    models[1].push_back(text(side, mean + ln2, 1 + i % 5));
  }
  const auto intervals = perplexity_intervals(models, {});
  const ComparisonIntervals& changes = intervals[1].changes.all;
  expect_interval(changes.toxic.perplexity, 100.0, 100.0);
  expect_interval(changes.neutral.mean_text_perplexity, 100.0, 100.0);
  expect_interval(changes.ratio, 0.0, 0.0);
  expect_interval(changes.separation, 0.0, 0.0);
  EXPECT_EQ(intervals[0].changes.all.ratio, std::nullopt);
  const Interval own = intervals[1].figures.all.toxic.perplexity.value();
  const Interval first = intervals[0].figures.all.toxic.perplexity.value();
  EXPECT_NEAR(own.low, 2.0 * first.low, 1e-12 * own.low);
  EXPECT_LT(first.low, first.high);
}

TEST(PerplexityIntervals, AGroupIsResampledByItself) {
  std::vector<ScoredText> texts = {text(Side::kToxic, 0.0, 1, "a"), text(Side::kToxic, ln2, 1, "a"),
                                   text(Side::kToxic, 9.0, 1, "b"), text(Side::kNeutral, 1.0)};
  const auto groups = intervals_of(texts, {.level = 0.75}).figures.groups;
  ASSERT_EQ(groups.size(), 2);
  expect_interval(groups.at("a").toxic.mean_text_perplexity, 1.0, 2.0);
  EXPECT_EQ(groups.at("b").toxic.perplexity, std::nullopt);  // one text tells no spread
  EXPECT_EQ(groups.at("a").ratio, std::nullopt);             // it has no neutral text
}

TEST(PerplexityIntervals, ASideWithANllThatIsNotFiniteHasNone) {
  const std::vector<ScoredText> texts = {text(Side::kToxic, 1.0), text(Side::kToxic, std::nan("")),
                                         text(Side::kToxic, 2.0), text(Side::kNeutral, 1.0),
                                         text(Side::kNeutral, 2.0)};
  const ComparisonIntervals all = intervals_of(texts).figures.all;
  EXPECT_EQ(all.toxic.perplexity, std::nullopt);
  EXPECT_EQ(all.ratio, std::nullopt);
  EXPECT_EQ(all.separation, std::nullopt);
  EXPECT_TRUE(all.neutral.perplexity.has_value());
}

TEST(PerplexityIntervals, SkippedTextsAreNotDrawn) {
  const std::vector<ScoredText> texts = {text(Side::kToxic, 0.0), text(Side::kToxic, 0.0, 0),
                                         text(Side::kToxic, 0.0)};
  expect_interval(intervals_of(texts).figures.all.toxic.mean_text_perplexity, 1.0, 1.0);
}

TEST(PerplexityIntervals, DependOnTheSeedAndNotOnThreads) {
  std::vector<ScoredText> texts;
  for (int i = 0; i < 30; ++i) {
    texts.push_back(text(i % 2 == 0 ? Side::kToxic : Side::kNeutral, std::sin(i)));
  }
  const auto ratio = [&](uint64_t seed, int threads) {
    const testing_support::NumThreads guard(threads);
    return intervals_of(texts, {.resamples = 200, .seed = seed}).figures.all.ratio.value();
  };
  const Interval one = ratio(1, 1);
  EXPECT_EQ(one.low, ratio(1, 2).low);
  EXPECT_EQ(one.high, ratio(1, 2).high);
  EXPECT_NE(one.low, ratio(2, 1).low);
}

TEST(PerplexityIntervals, RefusesNoResampleAndModelsOfOtherTexts) {
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [] { intervals_of({text(Side::kToxic, 1.0)}, {.resamples = 0}); }),
            "[perplexity_intervals] got 0 resamples, expected at least 1.");
  const std::vector<std::vector<ScoredText>> models = {{text(Side::kToxic, 1.0)}, {}};
  EXPECT_EQ(
      testing_support::message_of<std::invalid_argument>([&] { perplexity_intervals(models, {}); }),
      "[perplexity_intervals] got 0 texts, expected 1 as of the first model.");
}

}  // namespace perplexity_intervals_test
}  // namespace cpx::evaluation
