// SPDX-License-Identifier: Apache-2.0
// How sure a figure is: standard errors, bootstrap intervals, and a paired test of two models.
// Sources: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 (percentile
// intervals); McNemar, "Note on the sampling error of the difference between correlated
// proportions", 1947.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace cpx::evaluation {

/// From `low` to `high`.
struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// The mean of `values`; NaN without any.
double mean(std::span<const double> values);

/// The standard error of their mean: the sample standard deviation (n - 1) over the square root of
/// n. None for fewer than two values.
std::optional<double> standard_error(std::span<const double> values);

/// How an interval is drawn.
struct BootstrapOptions {
  int64_t resamples = 10'000;
  double level = 0.95;  // share of the resamples that lie in the interval
  uint64_t seed = 1234;
};

/// The interval that leaves out (1 - `level`) / 2 of `figures` on each side, for the figures of
/// resamples. Those that are no finite number are left out; none if fewer than two remain. Throws
/// std::invalid_argument for a level outside of 0 to 1.
std::optional<Interval> percentile_interval(std::vector<double> figures, double level);

/// The percentile interval of `figure`, which computes it from the drawn units (numbers from 0 to
/// `num_units` - 1, with repetition). Depends on nothing but its arguments. Resamples whose figure
/// is no finite number are left out; none for fewer than two units, or if fewer than two resamples
/// have a figure. Throws std::invalid_argument for a level outside of 0 to 1 or no resample.
std::optional<Interval> bootstrap_interval(
    int64_t num_units, const std::function<double(std::span<const int64_t> units)>& figure,
    const BootstrapOptions& options = {});

/// That of the mean of `values`; for paired samples, give their differences.
std::optional<Interval> bootstrap_mean(std::span<const double> values,
                                       const BootstrapOptions& options = {});

/// The two-sided probability of a split as uneven as `only_first` against `only_second` if both
/// were equally likely (exact binomial): what one model alone got right, and the other alone. 1 if
/// both are 0. Throws std::invalid_argument for a negative number.
double mcnemar_p_value(int64_t only_first, int64_t only_second);

}  // namespace cpx::evaluation
