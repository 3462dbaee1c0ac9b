// SPDX-License-Identifier: Apache-2.0
// Supervised fine-tuning: the mean NLL of the predicted tokens, every token weighing the same.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// Sum of the texts' token NLLs over `step_tokens`, the predicted tokens of the whole optimizer
/// step. Predictions of `token_nll` ([N], natural log) outside the texts get no gradient. The sums
/// are under `positives`. Throws std::invalid_argument for a text without a predicted token.
ObjectiveResult sft(std::span<const TokenRange> texts, std::span<const double> token_nll,
                    int64_t step_tokens);

}  // namespace cpx::objectives
