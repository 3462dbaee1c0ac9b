// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/sft.h"

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

ObjectiveResult sft(std::span<const TokenRange> texts, std::span<const double> token_nll,
                    int64_t step_tokens) {
  ObjectiveResult result;
  result.gradient.assign(token_nll.size(), 0.0);
  for (size_t i = 0; i < texts.size(); ++i) {
    check_token_range("sft", "text", i, texts[i], token_nll.size());
    result.positives += text_sums(texts[i], token_nll);
    add_token_slope(texts[i], 1.0 / static_cast<double>(step_tokens), result.gradient);
  }
  CPX_CHECK(
      step_tokens >= result.positives.tokens && step_tokens > 0,
      "[sft] the step's count is too small: got {} predicted tokens, expected at least the {} "
      "of this micro batch.",
      step_tokens, result.positives.tokens);
  result.loss = result.positives.nll_sum / static_cast<double>(step_tokens);
  return result;
}

}  // namespace cpx::objectives
