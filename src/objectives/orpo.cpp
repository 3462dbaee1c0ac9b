// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/orpo.h"

#include <cmath>
#include <numbers>

#include "pair_sum.h"

namespace cpx::objectives {

namespace {

// log(1 - exp(a)) for a < 0, by whichever of two forms keeps its digits there.
double log_complement(double a) {
  return a > -std::numbers::ln2 ? std::log(-std::expm1(a)) : std::log1p(-std::exp(a));
}

}  // namespace

ObjectiveResult orpo(const PreferenceBatch& batch, const OrpoOptions& options,
                     const StepCounts& step) {
  check_beta_and_smoothing("orpo", options.beta, /*label_smoothing=*/0.0);
  // Rewards are mean log-probabilities a; the log odds are a - log(1 - exp(a)), their derivative
  // 1 / (1 - exp(a)).
  const auto loss = [beta = options.beta](const PairRewards& rewards) {
    const auto& [chosen, rejected, margin] = rewards;
    const double log_odds = margin - (log_complement(chosen) - log_complement(rejected));
    const double slope = -beta * sigmoid(-log_odds);
    return PairLoss{.value = beta * negative_log_sigmoid(log_odds),
                    .chosen_slope = slope / -std::expm1(chosen),
                    .rejected_slope = -slope / -std::expm1(rejected)};
  };
  return sum_pairs(
      batch,
      {.name = "orpo",
       .reward_weight =
           [](const Answer& answer) { return 1.0 / static_cast<double>(answer.tokens.count); },
       .loss = loss,
       .reported_scale = options.beta,
       .sft_weight = 1.0},
      step);
}

}  // namespace cpx::objectives
