// SPDX-License-Identifier: Apache-2.0
// Curves that are thin enough to draw, and that do not hide what was left out: a point stands for
// the steps of its bin with their mean and their least and greatest value.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/report/run_record.h"

namespace cpx::report {

/// The values of one or several neighbouring steps.
struct CurvePoint {
  double step = 0.0;  // the middle of first and last
  int64_t first = 0;  // steps
  int64_t last = 0;
  double mean = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// A series as it is drawn.
struct Curve {
  std::vector<CurvePoint> points;
  int64_t values_per_point = 1;  // the last point may have fewer
  int64_t points_per_mean = 1;   // odd; how many points the smooth line averages
  std::vector<double> smooth;    // one value per point; empty: not smoothed
};

/// How finely a series is drawn.
struct CurveOptions {
  int64_t max_points = 300;
  bool is_smoothed = true;
};

/// Puts the values into at most `max_points` bins of equally many values. The smooth line is the
/// mean over a window of about a twentieth of the points. A series of fewer than 40 values has
/// none, and neither has a steady one, whose way up and down is at most three times its range.
Curve curve_of(const MetricSeries& series, const CurveOptions& options);

}  // namespace cpx::report
