// SPDX-License-Identifier: Apache-2.0
// How well two samples are told apart by their order, by mid-ranks (Mann and Whitney, 1947).
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace cpx::objectives {

/// The 1-based rank of each value; equal values share the mean of their ranks. All must be finite.
std::vector<double> mid_ranks(std::span<const double> values);

struct MannWhitney {
  /// P(x > y) + P(x = y) / 2 over all pairs: 1 when every x lies above every y.
  double separation = 0.0;
  /// Two-sided, by the normal approximation with tie and continuity correction.
  double p_value = 0.0;
};

/// Compares the samples; none when one of them is empty. Throws std::invalid_argument when a value
/// is not finite.
std::optional<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y);

}  // namespace cpx::objectives
