// SPDX-License-Identifier: Apache-2.0
// Holds plain text where the frozen base had it, token by token: what `hold` of contrastive
// perplexity does for its positives, for texts that take no part in a contrast.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// weight * sum over the texts' tokens of (nll_t - base_t)^2 / `step_tokens`, the predicted tokens
/// of the optimizer step's retained texts. Both NLLs are [N], natural log; predictions outside the
/// texts get no gradient. The sums are under `positives`. Throws std::invalid_argument for a text
/// without a predicted token and for base values of another size.
ObjectiveResult retain(std::span<const TokenRange> texts, std::span<const double> token_nll,
                       std::span<const double> base_token_nll, double weight, int64_t step_tokens);

}  // namespace cpx::objectives
