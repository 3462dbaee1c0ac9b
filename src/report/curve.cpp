// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace cpx::report {

namespace {

constexpr int64_t kFewestSmoothed = 40;   // values
constexpr int64_t kWindowsPerCurve = 20;  // a window is this part of the points

CurvePoint point_of(std::span<const int64_t> steps, std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  const auto [low, high] = std::ranges::minmax(values);
  return {.step = 0.5 * static_cast<double>(steps.front() + steps.back()),
          .first = steps.front(),
          .last = steps.back(),
          .mean = sum / static_cast<double>(values.size()),
          .low = low,
          .high = high};
}

// The mean of each point and its neighbours, fewer of them at both ends.
std::vector<double> smoothed(const std::vector<CurvePoint>& points, int64_t window) {
  const int64_t reach = window / 2;
  const int64_t count = std::ssize(points);
  std::vector<double> smooth;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t near = std::min({reach, i, count - 1 - i});
    double sum = 0.0;
    for (int64_t k = i - near; k <= i + near; ++k) sum += points[static_cast<size_t>(k)].mean;
    smooth.push_back(sum / static_cast<double>(2 * near + 1));
  }
  return smooth;
}

// False for a curve that goes up or down by and large steadily: its mean would say nothing more.
// The way up and down is compared with the range of all values and, because single ones may lie far
// away, with that of all but two in a hundred at each end.
bool is_restless(const std::vector<CurvePoint>& points) {
  constexpr double kShareLeftOut = 0.02;
  constexpr double kInnerRanges = 3.0;
  constexpr double kWholeRanges = 1.5;
  double path = 0.0;
  std::vector<double> means;
  for (const CurvePoint& point : points) {
    if (!means.empty()) path += std::abs(point.mean - means.back());
    means.push_back(point.mean);
  }
  std::ranges::sort(means);
  const auto num_left_out = static_cast<size_t>(kShareLeftOut * static_cast<double>(means.size()));
  const double inner = means[means.size() - 1 - num_left_out] - means[num_left_out];
  return path > kInnerRanges * inner && path > kWholeRanges * (means.back() - means.front());
}

}  // namespace

Curve curve_of(const MetricSeries& series, const CurveOptions& options) {
  Curve curve;
  const int64_t count = std::ssize(series.values);
  curve.values_per_point =
      std::max<int64_t>(1, (count + options.max_points - 1) / options.max_points);
  for (int64_t begin = 0; begin < count; begin += curve.values_per_point) {
    const auto size = static_cast<size_t>(std::min(curve.values_per_point, count - begin));
    const auto at = static_cast<size_t>(begin);
    curve.points.push_back(point_of(std::span(series.steps).subspan(at, size),
                                    std::span(series.values).subspan(at, size)));
  }
  if (!options.is_smoothed || count < kFewestSmoothed || !is_restless(curve.points)) return curve;
  curve.points_per_mean = std::ssize(curve.points) / kWindowsPerCurve / 2 * 2 + 1;
  if (curve.points_per_mean > 1) curve.smooth = smoothed(curve.points, curve.points_per_mean);
  return curve;
}

}  // namespace cpx::report
