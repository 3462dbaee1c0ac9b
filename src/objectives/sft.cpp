// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/sft.h"

#include <numeric>

#include "cpx/core/error.h"

namespace cpx::objectives {

namespace {

void check_range(const TokenRange& text, size_t index, int64_t num_predictions) {
  CPX_CHECK(text.count > 0,
            "[sft] text {} has no predicted token: got count {}, expected 1 or more.", index,
            text.count);
  CPX_CHECK(text.first >= 0 && text.first <= num_predictions - text.count,
            "[sft] text {} leaves the predictions: got first {} and count {}, expected them within "
            "{} predictions.",
            index, text.first, text.count, num_predictions);
}

TextSums sums_of(std::span<const double> nll) {
  const double nll_sum = std::accumulate(nll.begin(), nll.end(), 0.0);
  const auto tokens = std::ssize(nll);
  return {.texts = 1,
          .tokens = tokens,
          .nll_sum = nll_sum,
          .text_nll_sum = nll_sum / static_cast<double>(tokens)};
}

}  // namespace

ObjectiveResult sft(std::span<const TokenRange> texts, std::span<const double> token_nll,
                    int64_t step_tokens) {
  ObjectiveResult result;
  result.gradient.assign(token_nll.size(), 0.0);
  for (size_t i = 0; i < texts.size(); ++i) {
    check_range(texts[i], i, std::ssize(token_nll));
    result.positives += sums_of(token_nll.subspan(texts[i].first, texts[i].count));
    for (int64_t t = 0; t < texts[i].count; ++t) {
      result.gradient[texts[i].first + t] = 1.0 / static_cast<double>(step_tokens);
    }
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
