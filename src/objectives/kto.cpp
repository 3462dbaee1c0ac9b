// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/kto.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpx/core/error.h"
#include "pair_sum.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

void check_kto(const LabelledBatch& batch, const KtoOptions& options, const StepCounts& step) {
  check_beta_and_smoothing("kto", options.beta, /*label_smoothing=*/0.0);
  CPX_CHECK(options.desirable_weight >= 0.0 && options.undesirable_weight >= 0.0,
            "[kto] weights: got {} and {}, expected 0 or more.", options.desirable_weight,
            options.undesirable_weight);
  for (size_t i = 0; i < batch.answers.size(); ++i) {
    check_token_range("kto", "answer", i, batch.answers[i].answer.tokens, batch.token_nll.size());
  }
  const int64_t num_answers = step.positive_texts + step.negative_texts;
  CPX_CHECK(num_answers >= std::ssize(batch.answers) && num_answers > 0,
            "[kto] the step's count is too small: got {} answers, expected at least the {} of this "
            "micro batch.",
            num_answers, batch.answers.size());
}

bool is_finite(const LabelledBatch& batch) {
  return std::isfinite(batch.kl) && all_finite(batch.token_nll) &&
         std::ranges::all_of(batch.answers, [](const LabelledAnswer& one) {
           return std::isfinite(one.answer.reference_nll);
         });
}

}  // namespace

ObjectiveResult kto(const LabelledBatch& batch, const KtoOptions& options, const StepCounts& step) {
  check_kto(batch, options, step);
  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  const auto num_answers = static_cast<double>(step.positive_texts + step.negative_texts);
  for (const LabelledAnswer& one : batch.answers) {
    const TokenRange& tokens = one.answer.tokens;
    const double log_ratio = one.answer.reference_nll - nll_sum(tokens, batch.token_nll);
    const double sign = one.is_desirable ? 1.0 : -1.0;
    const double weight =
        (one.is_desirable ? options.desirable_weight : options.undesirable_weight) / num_answers;
    const double x = sign * options.beta * (log_ratio - batch.kl);
    result.loss += weight * sigmoid(-x);  // 1 - sigmoid(x)
    // d log ratio / d nll is -1, d sigmoid(-x) / dx is -sigmoid(x) sigmoid(-x).
    add_token_slope(tokens, weight * sign * options.beta * sigmoid(x) * sigmoid(-x),
                    result.gradient);
    (one.is_desirable ? result.positives : result.hard_negatives) +=
        text_sums(tokens, batch.token_nll);
  }
  if (!is_finite(batch)) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace cpx::objectives
