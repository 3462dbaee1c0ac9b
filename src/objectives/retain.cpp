// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/retain.h"

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

ObjectiveResult retain(std::span<const TokenRange> texts, std::span<const double> token_nll,
                       std::span<const double> base_token_nll, double weight, int64_t step_tokens) {
  CPX_CHECK(base_token_nll.size() == token_nll.size(),
            "[retain] the base's token NLLs: got {}, expected {}.", base_token_nll.size(),
            token_nll.size());
  ObjectiveResult result;
  result.gradient.assign(token_nll.size(), 0.0);
  const double token_weight = weight / static_cast<double>(step_tokens);
  for (size_t i = 0; i < texts.size(); ++i) {
    check_token_range("retain", "text", i, texts[i], token_nll.size());
    result.positives += text_sums(texts[i], token_nll);
    result.loss +=
        add_squared_distance(texts[i], token_nll, base_token_nll, token_weight, result.gradient);
  }
  CPX_CHECK(
      step_tokens >= result.positives.tokens && step_tokens > 0,
      "[retain] the step's count is too small: got {} predicted tokens, expected at least the {} "
      "of this micro batch.",
      step_tokens, result.positives.tokens);
  return result;
}

}  // namespace cpx::objectives
