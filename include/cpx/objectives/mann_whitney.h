// SPDX-License-Identifier: Apache-2.0
// How well two samples are told apart by their order, by mid-ranks (Mann and Whitney, "On a test of
// whether one of two random variables is stochastically larger than the other", 1947).
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace cpx::objectives {

/// The 1-based rank of each value; equal values share the mean of their ranks. All must be finite.
std::vector<double> mid_ranks(std::span<const double> values);

/// The result of the test.
struct MannWhitney {
  /// P(x > y) + P(x = y) / 2 over all pairs: 1 when every x lies above every y.
  double separation = 0.0;
  double p_value = 0.0;  // two-sided
  /// True if the p value is that of the exact distribution.
  bool is_exact = false;
};

/// How the p value is computed.
enum class PValueMethod {
  kNormal,  // by the normal approximation with tie and continuity correction
  /// From the exact distribution if the smaller sample has at most 8 values and no two of all
  /// values are equal, otherwise as kNormal: scipy's rule.
  kExactIfSmall,
};

/// Compares the samples; none when one of them is empty. Throws std::invalid_argument when a value
/// is not finite.
std::optional<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y,
                                        PValueMethod method = PValueMethod::kNormal);

}  // namespace cpx::objectives
