// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/ratio_figure.h"

#include <cmath>
#include <span>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace cpx::evaluation {
namespace ratio_figure_test {

const std::vector<int64_t> kAll = {0, 1, 2};

Estimate estimate(const RatioFigure& figure, std::span<const int64_t> units,
                  const BootstrapOptions& options) {
  return ResampledFigures(std::span(&figure, 1), units, options).estimate(0);
}

Estimate estimate_difference(const RatioFigure& figure, const RatioFigure& base,
                             std::span<const int64_t> units, const BootstrapOptions& options) {
  return ResampledFigures(std::span(&figure, 1), units, options)
      .difference(0, ResampledFigures(std::span(&base, 1), units, options));
}

TEST(RatioFigure, IsTheRatioOfSums) {
  // (1 + 4 + 1) / (1 + 2 + 3); of the last two (4 + 1) / (2 + 3).
  const RatioFigure figure{.numerators = {1, 4, 1}, .denominators = {1, 2, 3}};
  EXPECT_DOUBLE_EQ(figure_value(figure, kAll), 1.0);
  EXPECT_DOUBLE_EQ(figure_value(figure, std::vector<int64_t>{1, 2}), 1.0);
  EXPECT_DOUBLE_EQ(figure_value(figure, std::vector<int64_t>{1, 1, 2}), 9.0 / 7.0);
  EXPECT_DOUBLE_EQ(figure_value(mean_figure("mean", {1, 4, 1}), kAll), 2.0);
}

TEST(RatioFigure, APerplexityIsTheExponentialOfTheRatio) {
  const RatioFigure figure{
      .numerators = {2, 4, 0}, .denominators = {1, 2, 0}, .is_exponential = true};
  EXPECT_DOUBLE_EQ(figure_value(figure, kAll), std::exp(2.0));
}

TEST(RatioFigure, HasNoValueWithoutDenominators) {
  const RatioFigure figure{.numerators = {0, 0, 0}, .denominators = {0, 0, 0}};
  EXPECT_TRUE(std::isnan(figure_value(figure, kAll)));
  EXPECT_FALSE(estimate(figure, kAll, {}).value.has_value());
  EXPECT_FALSE(estimate(mean_figure("mean", {1, 2, 3}), {}, {}).value.has_value());
}

// Ratios 1, 2 and 4 around 7 / 3: squares 16 / 9, 1 / 9 and 25 / 9, over 2. The last unit has none.
TEST(RatioFigure, TheDeviationIsThatOfTheUnitsOwnValues) {
  const RatioFigure figure{.numerators = {1, 4, 12, 0}, .denominators = {1, 2, 3, 0}};
  EXPECT_DOUBLE_EQ(deviation(figure, std::vector<int64_t>{0, 1, 2, 3}).value(),
                   std::sqrt(42.0 / 9.0 / 2.0));
  EXPECT_FALSE(deviation(figure, std::vector<int64_t>{0, 3}).has_value());
}

// Resamples of a part take its units alone: of units 1 and 3 (2 and 4) all values lie in 2..4.
TEST(RatioFigure, AnIntervalResamplesTheUnitsOfThePart) {
  const RatioFigure figure = mean_figure("mean", {100, 2, 100, 4});
  const Estimate found = estimate(figure, std::vector<int64_t>{1, 3}, {.level = 0.75});
  EXPECT_DOUBLE_EQ(found.value.value(), 3.0);
  EXPECT_DOUBLE_EQ(found.interval.value().low, 2.0);
  EXPECT_DOUBLE_EQ(found.interval.value().high, 4.0);
}

// A constant difference has no spread, however much the units differ: the pairing is kept.
TEST(RatioFigure, ADifferenceIsPaired) {
  const RatioFigure base = mean_figure("mean", {1, 5, 9});
  const RatioFigure other = mean_figure("mean", {0.5, 4.5, 8.5});
  const Estimate found = estimate_difference(other, base, kAll, {});
  EXPECT_DOUBLE_EQ(found.value.value(), -0.5);
  EXPECT_NEAR(found.interval.value().low, -0.5, 1e-12);
  EXPECT_NEAR(found.interval.value().high, -0.5, 1e-12);
}

TEST(RatioFigure, DifferencesNeedEqualResamples) {
  const std::vector<RatioFigure> figures = {mean_figure("mean", {1, 5, 9})};
  const ResampledFigures ten(figures, kAll, {.resamples = 10});
  const ResampledFigures twenty(figures, kAll, {.resamples = 20});
  EXPECT_THROW(ten.difference(0, twenty), std::invalid_argument);
}

// The resamples are those of bootstrap_interval(), and other figures beside one change nothing.
TEST(RatioFigure, AnIntervalIsThatOfTheBootstrap) {
  const std::vector<double> values = {3, 1, 4, 1, 5, 9, 2, 6};
  const std::vector<int64_t> units = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<RatioFigure> figures = {mean_figure("other", values),
                                            mean_figure("mean", values)};
  const auto found = ResampledFigures(figures, units, {.resamples = 200}).estimate(1).interval;
  const auto expected = bootstrap_mean(values, {.resamples = 200});
  EXPECT_DOUBLE_EQ(found.value().low, expected.value().low);
  EXPECT_DOUBLE_EQ(found.value().high, expected.value().high);
}

}  // namespace ratio_figure_test
}  // namespace cpx::evaluation
