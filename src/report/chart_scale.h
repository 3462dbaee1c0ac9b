// SPDX-License-Identifier: Apache-2.0
// The axes of a chart: from values to places in the picture, and where the marks stand.
#pragma once

#include <vector>

namespace cpx::report {

/// One axis.
struct ChartScale {
  double low = 0.0;
  double high = 1.0;
  bool is_logarithmic = false;
  double begin = 0.0;  // place of `low` in the picture
  double end = 1.0;    // place of `high`

  /// The place of a value.
  double operator()(double value) const;
};

/// An axis for values from `low` to `high`, with some room at both ends; equal values get room too.
/// It is linear if a value is not positive.
ChartScale value_scale(double low, double high, bool is_logarithmic);

/// Round values within the axis, about `count` of them.
std::vector<double> round_values(const ChartScale& scale, int count);

}  // namespace cpx::report
