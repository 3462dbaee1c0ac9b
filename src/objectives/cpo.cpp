// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/cpo.h"

#include "cpx/core/error.h"
#include "pair_sum.h"

namespace cpx::objectives {

namespace {

using Loss = CpoOptions::Loss;

PairLoss cpo_loss(const PairRewards& rewards, const CpoOptions& options) {
  switch (options.loss) {
    case Loss::kSigmoid:
      break;
    case Loss::kHinge:
      return hinge_loss(rewards.margin);
    case Loss::kIpo: {
      const double excess = rewards.margin - 1.0 / (2.0 * options.beta);
      return loss_of_margin(excess * excess, 2.0 * excess);
    }
  }
  return sigmoid_loss(rewards.margin, 1.0 - options.label_smoothing, options.label_smoothing);
}

}  // namespace

ObjectiveResult cpo(const PreferenceBatch& batch, const CpoOptions& options,
                    const StepCounts& step) {
  check_beta_and_smoothing("cpo", options.beta, options.label_smoothing);
  CPX_CHECK(options.label_smoothing == 0.0 || options.loss == Loss::kSigmoid,
            "[cpo] label_smoothing with loss {}: got {}, expected 0.",
            enum_names(options.loss)[static_cast<size_t>(options.loss)], options.label_smoothing);
  const bool is_of_means = options.loss == Loss::kIpo;
  return sum_pairs(batch,
                   {.name = "cpo",
                    .reward_weight =
                        [&](const Answer& answer) {
                          return is_of_means ? 1.0 / static_cast<double>(answer.tokens.count)
                                             : options.beta;
                        },
                    .loss = [&](const PairRewards& rewards) { return cpo_loss(rewards, options); },
                    .reported_scale = is_of_means ? options.beta : 1.0,
                    .sft_weight = options.cpo_alpha},
                   step);
}

}  // namespace cpx::objectives
