// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_metrics.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include <gtest/gtest.h>

namespace cpx::evaluation {
namespace choice_metrics_test {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<RequestScore> scores_of(const std::vector<double>& log_likelihoods) {
  std::vector<RequestScore> scores;
  for (const double value : log_likelihoods) scores.push_back({.log_likelihood = value});
  return scores;
}

double value_of(const ChoiceMetric& metric, const ChoiceDocument& document,
                const std::vector<double>& log_likelihoods) {
  return metric.value(document, scores_of(log_likelihoods)).value;
}

std::vector<MetricValue> values_of(const std::vector<double>& numbers) {
  std::vector<MetricValue> values;
  for (const double number : numbers) values.push_back({number});
  return values;
}

TEST(FirstLargest, TheFirstOfEqualsWins) {
  EXPECT_EQ(first_largest(std::vector<double>{-2.0, -1.0, -1.0}), 1);
  EXPECT_EQ(first_largest(std::vector<double>{-kInfinity, -kInfinity}), 0);
  EXPECT_EQ(first_largest(std::vector<double>{-1.0, kNan, 0.0}), 1);  // as numpy.argmax
}

TEST(ChoiceMetrics, AccuracyIsWhetherTheGoldIsLargest) {
  EXPECT_EQ(value_of(kAccuracy, {.gold = 1}, {-3.0, -2.0}), 1.0);
  EXPECT_EQ(value_of(kAccuracy, {.gold = 1}, {-2.0, -2.0}), 0.0);
}

TEST(ChoiceMetrics, NormalizedAccuracyDividesByCodePoints) {
  // -6 / 4 = -1.5 is less than -8 / 8 = -1.
  EXPECT_EQ(value_of(kNormalizedAccuracy, {.lengths = {4, 8}, .gold = 1}, {-6.0, -8.0}), 1.0);
  EXPECT_EQ(value_of(kAccuracy, {.lengths = {4, 8}, .gold = 1}, {-6.0, -8.0}), 0.0);
}

TEST(ChoiceMetrics, AChoiceWithoutLengthNeverWins) {
  EXPECT_EQ(value_of(kNormalizedAccuracy, {.lengths = {0, 1}, .gold = 1}, {-1.0, -900.0}), 1.0);
}

TEST(ChoiceMetrics, TrueProbabilityIsTheShareOfTheTrueChoices) {
  // exp: 0.5, 0.25, 0.25 of 1.
  const std::vector<double> scores = {std::log(0.2), std::log(0.1), std::log(0.1)};
  EXPECT_NEAR(value_of(kTrueProbability, {.is_true = {true, false, true}}, scores), 0.75, 1e-12);
}

TEST(ChoiceMetrics, CrowsPairsCompareTwoSentences) {
  EXPECT_EQ(value_of(kLikelihoodDifference, {}, {-7.0, -4.5}), 2.5);
  EXPECT_EQ(value_of(kStereotypeShare, {}, {-7.0, -4.5}), 0.0);
  EXPECT_EQ(value_of(kStereotypeShare, {}, {-4.0, -4.5}), 1.0);
}

TEST(ChoiceMetrics, RollingFiguresAreOverAllTexts) {
  const ChoiceDocument one{.num_words = 4, .num_bytes = 20};
  const ChoiceDocument other{.num_words = 2, .num_bytes = 10};
  const auto of = [&](const ChoiceMetric& metric) {
    const std::vector<RequestScore> first = {{.log_likelihood = -8.0, .num_tokens = 7}};
    const std::vector<RequestScore> second = {{.log_likelihood = -7.0, .num_tokens = 3}};
    return metric_figure(
        metric, std::vector<MetricValue>{metric.value(one, first), metric.value(other, second)});
  };
  EXPECT_NEAR(of(kWordPerplexity), std::exp(15.0 / 6.0), 1e-12);
  EXPECT_NEAR(of(kBytePerplexity), std::exp(0.5), 1e-12);
  EXPECT_NEAR(of(kBitsPerByte), 0.5 / std::log(2.0), 1e-12);
  EXPECT_NEAR(of(kTokenPerplexity), std::exp(1.5), 1e-12);
}

TEST(MetricError, IsTheStandardErrorOfTheMean) {
  // Mean 0.5, squares sum to 1, over 3 and 4.
  const auto values = values_of({1.0, 0.0, 1.0, 0.0});
  EXPECT_NEAR(*metric_error(kAccuracy, values), std::sqrt(1.0 / 3.0 / 4.0), 1e-12);
  EXPECT_FALSE(metric_error(kAccuracy, values_of({1.0})));
  EXPECT_FALSE(metric_error(kWordPerplexity, values));
}

TEST(MetricError, OfAPerplexityIsTheHarnesssBootstrap) {
  // lm_eval.api.metrics.bootstrap_stderr(perplexity, [-1, -2, -4.5], 100000).
  EXPECT_NEAR(*metric_error(kPerplexity, values_of({-1.0, -2.0, -4.5})), 17.968363293066208, 1e-9);
}

TEST(Groups, AreWeightedByDocuments) {
  // Two tasks of 4 and 9 documents.
  const std::vector<GroupPart> parts = {{4, 0.5, 0.25}, {9, 0.25, 0.125}};
  EXPECT_NEAR(group_mean(parts), (4 * 0.5 + 9 * 0.25) / 13.0, 1e-12);
  EXPECT_NEAR(*group_error(parts), std::sqrt((4 * 3 * 0.0625 + 9 * 8 * 0.015625) / 11.0 / 13.0),
              1e-12);
}

TEST(Groups, HaveNoErrorWhereATaskHasNone) {
  EXPECT_FALSE(group_error(std::vector<GroupPart>{{1, 1.0, std::nullopt}, {4, 0.5, 0.25}}));
  EXPECT_FALSE(group_error(std::vector<GroupPart>{}));
}

TEST(CompareMetric, PairsTheDocuments) {
  const auto first = values_of({1, 1, 0, 0, 1, 0, 1, 1, 0, 1});
  const auto second = values_of({1, 1, 1, 1, 1, 0, 1, 0, 1, 1});
  const MetricComparison comparison = compare_metric(kAccuracy, first, second);
  EXPECT_NEAR(comparison.difference, 0.2, 1e-12);
  // Right alone: the first once, the second three times. 2 (1 + 4) / 16.
  EXPECT_NEAR(*comparison.p_value, 0.625, 1e-12);
  ASSERT_TRUE(comparison.interval);
  EXPECT_LT(comparison.interval->low, 0.2);
  EXPECT_GT(comparison.interval->high, 0.2);
  EXPECT_LT(comparison.interval->high, 0.61);
}

TEST(CompareMetric, HasNoTestForWhatIsNotRightOrWrong) {
  const auto comparison =
      compare_metric(kPerplexity, values_of({-1.0, -2.0}), values_of({-1.0, -2.0}));
  EXPECT_EQ(comparison.difference, 0.0);
  EXPECT_FALSE(comparison.p_value);
}

TEST(CompareMetric, DifferentDocumentsAreAnError) {
  EXPECT_THROW(compare_metric(kAccuracy, values_of({1.0}), values_of({1.0, 0.0})),
               std::invalid_argument);
}

}  // namespace choice_metrics_test
}  // namespace cpx::evaluation
