// SPDX-License-Identifier: Apache-2.0
// What the objectives do with a text's range of predictions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// Throws std::invalid_argument unless the range has a prediction and lies within
/// `num_predictions`. The message starts "[place] kind index", for example "[sft] text 3".
void check_token_range(std::string_view place, std::string_view kind, size_t index,
                       const TokenRange& range, size_t num_predictions);

/// Sum of the range's token NLLs.
double nll_sum(const TokenRange& range, std::span<const double> token_nll);

/// Their mean, m in docs/objectives.md.
double mean_nll(const TokenRange& range, std::span<const double> token_nll);

/// A text's share of the sums for metrics.
TextSums text_sums(const TokenRange& range, std::span<const double> token_nll);

/// Adds `slope` to the gradient of each of the range's predictions.
void add_token_slope(const TokenRange& range, double slope, std::vector<double>& gradient);

/// Adds `slope` * d mean_nll / d token_nll.
void add_mean_slope(const TokenRange& range, double slope, std::vector<double>& gradient);

/// weight * sum of (nll_t - base_t)^2 over the range; adds its gradient.
double add_squared_distance(const TokenRange& range, std::span<const double> token_nll,
                            std::span<const double> base_token_nll, double weight,
                            std::vector<double>& gradient);

bool all_finite(std::span<const double> values);

}  // namespace cpx::objectives
