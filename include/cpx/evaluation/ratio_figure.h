// SPDX-License-Identifier: Apache-2.0
// Figures that are ratios of sums over units (a unit is a prompt with its continuations): their
// values, bootstrap intervals over units, and the paired differences of two models on the same
// units.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/statistics.h"

namespace cpx::evaluation {

/// The sum of the numerators over the sum of the denominators of the units that are taken. A mean
/// over units has denominators of 1.
struct RatioFigure {
  std::string name = {};
  std::vector<double> numerators = {};    // by unit
  std::vector<double> denominators = {};  // by unit, never negative; 0: the unit has no figure
  bool is_exponential = false;            // exp of the ratio: a perplexity
  /// A report gives the standard deviation (n - 1) of the units' own values beside the figure.
  bool has_deviation = false;
};

/// A figure that is the mean of `values`, one for each unit.
RatioFigure mean_figure(std::string name, std::vector<double> values);

/// A value with the interval in which it lies; both are missing where there is nothing to compute
/// them from.
struct Estimate {
  std::optional<double> value = std::nullopt;
  std::optional<Interval> interval = std::nullopt;
};

/// The value of the figure over `units` (numbers from 0, with or without repetition); NaN if their
/// denominators sum up to 0.
double figure_value(const RatioFigure& figure, std::span<const int64_t> units);

/// The standard deviation (n - 1) of the units' own ratios; none for fewer than two units.
std::optional<double> deviation(const RatioFigure& figure, std::span<const int64_t> units);

/// The values of figures over units, and over resamples of these units: the same ones for all
/// figures, so that figures of the same units can be paired.
class ResampledFigures {
 public:
  /// Computes them all; resamples are those of bootstrap_interval().
  ResampledFigures(std::span<const RatioFigure> figures, std::span<const int64_t> units,
                   const BootstrapOptions& options);

  /// The estimate of figure number `figure`.
  Estimate estimate(size_t figure) const;
  /// That of the value minus the value of the same figure in `base`, which must have been resampled
  /// from the same units with the same options.
  Estimate difference(size_t figure, const ResampledFigures& base) const;

 private:
  Estimate estimate_of(double value, std::vector<double> resampled) const;

  double level_;
  std::vector<double> values_;                  // by figure
  std::vector<std::vector<double>> resampled_;  // by figure, by resample; empty for a lone unit
};

}  // namespace cpx::evaluation
