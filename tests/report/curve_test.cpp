// SPDX-License-Identifier: Apache-2.0
#include "src/report/curve.h"

#include <cmath>

#include <gtest/gtest.h>

namespace cpx::report {
namespace curve_test {

MetricSeries series_of(int64_t count, double (*value)(int64_t)) {
  MetricSeries series{.key = "loss", .steps = {}, .values = {}};
  for (int64_t step = 1; step <= count; ++step) {
    series.steps.push_back(step);
    series.values.push_back(value(step));
  }
  return series;
}

double up_and_down(int64_t step) { return step % 2 == 0 ? 1.0 : 3.0; }
double growing(int64_t step) { return static_cast<double>(step); }

TEST(Curve, FewValuesAreDrawnAsTheyAre) {
  const Curve curve = curve_of(series_of(5, growing), {.max_points = 10});
  EXPECT_EQ(curve.values_per_point, 1);
  ASSERT_EQ(curve.points.size(), 5U);
  EXPECT_EQ(curve.points[2].step, 3.0);
  EXPECT_EQ(curve.points[2].mean, 3.0);
  EXPECT_EQ(curve.points[2].low, 3.0);
  EXPECT_EQ(curve.points[2].high, 3.0);
}

// Seven values in bins of three: 1 2 3, 4 5 6, 7.
TEST(Curve, ManyValuesShareAPointThatKnowsTheirExtremes) {
  const Curve curve = curve_of(series_of(7, growing), {.max_points = 3});
  EXPECT_EQ(curve.values_per_point, 3);
  ASSERT_EQ(curve.points.size(), 3U);
  EXPECT_EQ(curve.points[1].first, 4);
  EXPECT_EQ(curve.points[1].last, 6);
  EXPECT_EQ(curve.points[1].step, 5.0);
  EXPECT_EQ(curve.points[1].mean, 5.0);
  EXPECT_EQ(curve.points[1].low, 4.0);
  EXPECT_EQ(curve.points[1].high, 6.0);
  EXPECT_EQ(curve.points[2].first, 7);
  EXPECT_EQ(curve.points[2].mean, 7.0);
}

// 100 points: the window is 100 / 20 = 5 points; at the first point it is that point alone, at the
// second it reaches one to each side.
TEST(Curve, ARestlessCurveHasAMeanOfItsNeighbours) {
  const Curve curve = curve_of(series_of(100, up_and_down), {.max_points = 300});
  EXPECT_EQ(curve.points_per_mean, 5);
  ASSERT_EQ(curve.smooth.size(), 100U);
  EXPECT_DOUBLE_EQ(curve.smooth[0], 3.0);
  EXPECT_DOUBLE_EQ(curve.smooth[1], (3.0 + 1.0 + 3.0) / 3.0);
  EXPECT_DOUBLE_EQ(curve.smooth[50], (3.0 + 1.0 + 3.0 + 1.0 + 3.0) / 5.0);
}

// A value far away is no reason to call the others steady.
TEST(Curve, ASpikeDoesNotHideThatACurveIsRestless) {
  MetricSeries series = series_of(100, up_and_down);
  series.values[50] = 1000.0;
  EXPECT_FALSE(curve_of(series, {}).smooth.empty());
}

TEST(Curve, ASteadyOrShortCurveHasNone) {
  EXPECT_TRUE(curve_of(series_of(100, growing), {}).smooth.empty());
  EXPECT_TRUE(curve_of(series_of(39, up_and_down), {}).smooth.empty());
  EXPECT_TRUE(curve_of(series_of(100, up_and_down), {.is_smoothed = false}).smooth.empty());
}

}  // namespace curve_test
}  // namespace cpx::report
