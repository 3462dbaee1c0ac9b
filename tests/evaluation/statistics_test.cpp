// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/statistics.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace cpx::evaluation {
namespace {

TEST(Statistics, MeanAndStandardErrorByHand) {
  // Mean 2.5; squared distances 2.25 + .25 + .25 + 2.25 = 5; 5 / 3 / 4.
  const std::vector<double> values = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(mean(values), 2.5);
  EXPECT_DOUBLE_EQ(standard_error(values).value(), std::sqrt(5.0 / 12.0));
  EXPECT_FALSE(standard_error(std::vector<double>{3.0}).has_value());
  EXPECT_TRUE(std::isnan(mean({})));
}

// Means of two drawn values of {0, 1} are 0, 1/2, 1 with shares 1/4, 1/2, 1/4: a tail of 1/8 ends
// in 0, one of 3/10 at 1/2.
TEST(Statistics, BootstrapOfTwoValuesIsThatOfTheirDistribution) {
  const std::vector<double> values = {0, 1};
  const auto wide = bootstrap_mean(values, {.level = 0.75});
  EXPECT_DOUBLE_EQ(wide.value().low, 0.0);
  EXPECT_DOUBLE_EQ(wide.value().high, 1.0);
  const auto narrow = bootstrap_mean(values, {.level = 0.4});
  EXPECT_DOUBLE_EQ(narrow.value().low, 0.5);
  EXPECT_DOUBLE_EQ(narrow.value().high, 0.5);
}

// For many values the interval is the normal one: mean +- 1.96 standard errors (of divisor n).
TEST(Statistics, BootstrapOfManyValuesIsNearTheNormalInterval) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(std::sin(i * 0.7) + 0.3 * (i % 3));
  const auto found = bootstrap_mean(values).value();
  const double half = 1.959964 * standard_error(values).value();
  EXPECT_NEAR(found.low, mean(values) - half, 0.05 * half);
  EXPECT_NEAR(found.high, mean(values) + half, 0.05 * half);
}

TEST(Statistics, BootstrapDependsOnTheSeedAlone) {
  const std::vector<double> values = {1, 4, 2, 8, 5, 7};
  const auto first = bootstrap_mean(values, {.resamples = 50, .seed = 1}).value();
  const auto again = bootstrap_mean(values, {.resamples = 50, .seed = 1}).value();
  const auto other = bootstrap_mean(values, {.resamples = 50, .seed = 2}).value();
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_TRUE(first.low != other.low || first.high != other.high);
}

TEST(Statistics, BootstrapLeavesOutWhatHasNoFigure) {
  const auto figure = [](std::span<const int64_t> units) {
    return units[0] == units[1] ? std::numeric_limits<double>::quiet_NaN() : 3.0;
  };
  const auto found = bootstrap_interval(2, figure).value();
  EXPECT_EQ(found.low, 3.0);
  EXPECT_EQ(found.high, 3.0);
  EXPECT_FALSE(bootstrap_interval(2, [](std::span<const int64_t>) { return NAN; }).has_value());
  EXPECT_FALSE(bootstrap_mean(std::vector<double>{1.0}).has_value());
}

// 0 to 10, sorted: an eighth of the way is 1.25, seven eighths 8.75.
TEST(Statistics, PercentileIntervalLiesBetweenNeighboursInProportion) {
  std::vector<double> figures = {NAN, 10, 0, 3, 2, 1};
  for (int i = 4; i < 10; ++i) figures.push_back(i);
  figures.push_back(std::numeric_limits<double>::infinity());
  const Interval interval = percentile_interval(figures, 0.75).value();
  EXPECT_DOUBLE_EQ(interval.low, 1.25);
  EXPECT_DOUBLE_EQ(interval.high, 8.75);
  EXPECT_FALSE(percentile_interval({1.0, NAN}, 0.75).has_value());
  EXPECT_THROW(percentile_interval({1.0, 2.0}, 0.0), std::invalid_argument);
}

TEST(Statistics, RefusesWhatIsNoLevel) {
  const std::vector<double> values = {1, 2};
  EXPECT_THROW(bootstrap_mean(values, {.level = 1.0}), std::invalid_argument);
  EXPECT_THROW(bootstrap_mean(values, {.resamples = 0}), std::invalid_argument);
}

// 1 against 5 of 6: 2 (1 + 6) / 64. 2 against 2 of 4: more than 1, so 1.
TEST(Statistics, McNemarByHand) {
  EXPECT_NEAR(mcnemar_p_value(1, 5), 14.0 / 64.0, 1e-12);
  EXPECT_NEAR(mcnemar_p_value(5, 1), 14.0 / 64.0, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar_p_value(2, 2), 1.0);
  EXPECT_DOUBLE_EQ(mcnemar_p_value(0, 0), 1.0);
  EXPECT_NEAR(mcnemar_p_value(0, 10), 2.0 / 1024.0, 1e-14);
  EXPECT_THROW(mcnemar_p_value(-1, 2), std::invalid_argument);
}

}  // namespace
}  // namespace cpx::evaluation
