// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/npo.h"

#include "pair_sum.h"

namespace cpx::objectives {

ObjectiveResult npo(const PreferenceBatch& batch, const NpoOptions& options,
                    const StepCounts& step) {
  check_beta_and_smoothing("npo", options.beta, /*label_smoothing=*/0.0);
  const double scale = 2.0 / options.beta;
  const auto loss = [scale](const PairRewards& rewards) {
    return PairLoss{.value = scale * negative_log_sigmoid(-rewards.rejected),
                    .rejected_slope = scale * sigmoid(rewards.rejected)};
  };
  return sum_pairs(batch,
                   {.name = "npo",
                    .reward_weight = [&](const Answer& /*answer*/) { return options.beta; },
                    .loss = loss,
                    .has_reference = true,
                    .sft_weight = options.sft_weight},
                   step);
}

}  // namespace cpx::objectives
