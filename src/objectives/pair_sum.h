// SPDX-License-Identifier: Apache-2.0
// What the preference objectives share: rewards of answers, a loss of each pair, and their mean
// over a step.
#pragma once

#include <functional>
#include <string_view>

#include "cpx/objectives/preference.h"

namespace cpx::objectives {

/// The rewards that a pair's loss is made of.
struct PairRewards {
  double chosen = 0.0;
  /// Of several rejected answers the log of the sum of their exponentials.
  double rejected = 0.0;
  double margin = 0.0;  // chosen - rejected
};

/// The loss of a pair with its derivatives.
struct PairLoss {
  double value = 0.0;
  double chosen_slope = 0.0;    // d value / d chosen reward
  double rejected_slope = 0.0;  // d value / d rejected reward
};

/// A loss of the margin alone; `slope` is its derivative.
PairLoss loss_of_margin(double value, double slope);

/// What makes a preference objective: everything else is the same for all.
struct PairObjective {
  std::string_view name = {};  // opens the messages
  /// An answer's reward is weight * (reference - NLL), each the sum over its tokens.
  std::function<double(const Answer& answer)> reward_weight = {};
  std::function<PairLoss(const PairRewards& rewards)> loss = {};
  /// Without one the reference's NLL counts as 0.
  bool has_reference = false;
  /// More than one rejected answer in a pair.
  bool takes_several = false;
  /// Rewards are reported as reported_weight * (reference - NLL); 0: as reported_scale * reward.
  double reported_weight = 0.0;
  double reported_scale = 1.0;
  /// Weight of the chosen answers' mean token NLL, over `step.positive_tokens`.
  double sft_weight = 0.0;
};

/// The mean loss of the preferences over `step.pairs`, with its gradient; see dpo() for the rest.
ObjectiveResult sum_pairs(const PreferenceBatch& batch, const PairObjective& objective,
                          const StepCounts& step);

/// Throws std::invalid_argument unless beta > 0 and label_smoothing lies in [0, 0.5).
void check_beta_and_smoothing(std::string_view name, double beta, double label_smoothing);

// ---- Parts of losses ----------------------------------------------------------------------------

double sigmoid(double x);
/// -log sigmoid(x), for any size of x.
double negative_log_sigmoid(double x);
/// `kept` * -log sigmoid(x) + `flipped` * -log sigmoid(-x), x being the margin.
PairLoss sigmoid_loss(double x, double kept, double flipped);
/// max(0, 1 - x).
PairLoss hinge_loss(double x);

}  // namespace cpx::objectives
