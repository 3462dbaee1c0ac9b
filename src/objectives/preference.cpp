// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/preference.h"

#include <cmath>

#include "cpx/core/error.h"
#include "pair_sum.h"

namespace cpx::objectives {

namespace {

// ---- The losses of dpo: a function and a row each -----------------------------------------------

PairLoss dpo_sigmoid(const PairRewards& rewards, const DpoOptions& options) {
  return sigmoid_loss(rewards.margin, 1.0 - options.label_smoothing, options.label_smoothing);
}

PairLoss dpo_hinge(const PairRewards& rewards, const DpoOptions& /*options*/) {
  return hinge_loss(rewards.margin);
}

PairLoss dpo_ipo(const PairRewards& rewards, const DpoOptions& options) {
  const double excess = rewards.margin - 1.0 / (2.0 * options.beta);
  return loss_of_margin(excess * excess, 2.0 * excess);
}

PairLoss dpo_robust(const PairRewards& rewards, const DpoOptions& options) {
  const double smoothing = options.label_smoothing;
  const double scale = 1.0 / (1.0 - 2.0 * smoothing);
  return sigmoid_loss(rewards.margin, scale * (1.0 - smoothing), -scale * smoothing);
}

// KL(p || q) of p = (sigmoid(x), sigmoid(-x)) from the smoothed label q = (1 - e, e). The terms of
// the slope that come from the logs of p cancel.
PairLoss dpo_exo_pair(const PairRewards& rewards, const DpoOptions& options) {
  const double x = rewards.margin;
  const double chosen_gap = -negative_log_sigmoid(x) - std::log1p(-options.label_smoothing);
  const double rejected_gap = -negative_log_sigmoid(-x) - std::log(options.label_smoothing);
  return loss_of_margin(sigmoid(x) * chosen_gap + sigmoid(-x) * rejected_gap,
                        sigmoid(x) * sigmoid(-x) * (chosen_gap - rejected_gap));
}

PairLoss dpo_nca_pair(const PairRewards& rewards, const DpoOptions& /*options*/) {
  const auto& [chosen, rejected, margin] = rewards;
  return {.value = negative_log_sigmoid(chosen) + 0.5 * negative_log_sigmoid(-chosen) +
                   0.5 * negative_log_sigmoid(-rejected),
          .chosen_slope = 0.5 * sigmoid(chosen) - sigmoid(-chosen),
          .rejected_slope = 0.5 * sigmoid(rejected)};
}

// Rewards are log ratios here: the squares keep their scale.
PairLoss dpo_sppo_hard(const PairRewards& rewards, const DpoOptions& options) {
  const double chosen_error = rewards.chosen - 0.5 / options.beta;
  const double rejected_error = rewards.rejected + 0.5 / options.beta;
  return {.value = chosen_error * chosen_error + rejected_error * rejected_error,
          .chosen_slope = 2.0 * chosen_error,
          .rejected_slope = 2.0 * rejected_error};
}

// d sigmoid(x) / dx.
double sigmoid_slope(double x) { return sigmoid(x) * sigmoid(-x); }

PairLoss dpo_apo_zero(const PairRewards& rewards, const DpoOptions& /*options*/) {
  return {.value = sigmoid(-rewards.chosen) + sigmoid(rewards.rejected),
          .chosen_slope = -sigmoid_slope(rewards.chosen),
          .rejected_slope = sigmoid_slope(rewards.rejected)};
}

PairLoss dpo_apo_down(const PairRewards& rewards, const DpoOptions& /*options*/) {
  return {.value = sigmoid(rewards.chosen) + sigmoid(-rewards.margin),
          .chosen_slope = sigmoid_slope(rewards.chosen) - sigmoid_slope(rewards.margin),
          .rejected_slope = sigmoid_slope(rewards.margin)};
}

// (1 - m) * -log sigmoid(x) + m * exp(-x) with m = sigmoid(x / tau). exp(-x) alone may overflow
// where m times it does not.
PairLoss dpo_discopop(const PairRewards& rewards, const DpoOptions& options) {
  const double x = rewards.margin;
  const double scaled = x / options.discopop_tau;
  const double exponential = std::exp(-x - negative_log_sigmoid(scaled));  // m exp(-x)
  const double logistic = negative_log_sigmoid(x);
  const double other = sigmoid(-scaled);  // 1 - m
  const double slope = -other * sigmoid(-x) - exponential +
                       (exponential - sigmoid(scaled) * logistic) * other / options.discopop_tau;
  return loss_of_margin(other * logistic + exponential, slope);
}

// What an answer's log ratio is multiplied with to be its reward.
enum class Scale { kBeta, kBetaOverTokens, kOneOverTokens, kOne };

struct DpoLoss {
  PairLoss (*loss)(const PairRewards& rewards, const DpoOptions& options);
  Scale scale = Scale::kBeta;
};

// In the order of DpoOptions::Loss.
constexpr DpoLoss kDpoLosses[] = {
    {dpo_sigmoid},  {dpo_hinge},    {dpo_ipo, Scale::kOneOverTokens},      {dpo_robust},
    {dpo_exo_pair}, {dpo_nca_pair}, {dpo_sppo_hard, Scale::kOne},          {dpo_apo_zero},
    {dpo_apo_down}, {dpo_discopop}, {dpo_sigmoid, Scale::kBetaOverTokens},
};
static_assert(std::size(kDpoLosses) == enum_names(DpoOptions::Loss{}).size());

double reward_scale(Scale scale, double beta, const Answer& answer) {
  const auto num_tokens = static_cast<double>(answer.tokens.count);
  switch (scale) {
    case Scale::kBeta:
      break;
    case Scale::kBetaOverTokens:
      return beta / num_tokens;
    case Scale::kOneOverTokens:
      return 1.0 / num_tokens;
    case Scale::kOne:
      return 1.0;
  }
  return beta;
}

void check_options(const DpoOptions& options) {
  check_beta_and_smoothing("dpo", options.beta, options.label_smoothing);
  const auto loss = enum_names(options.loss)[static_cast<size_t>(options.loss)];
  CPX_CHECK(options.label_smoothing == 0.0 || smooths(options.loss),
            "[dpo] label_smoothing with loss {}: got {}, expected 0.", loss,
            options.label_smoothing);
  CPX_CHECK(options.loss != DpoOptions::Loss::kExoPair || options.label_smoothing > 0.0,
            "[dpo] label_smoothing with loss exo_pair: got 0, expected more.");
  CPX_CHECK(options.discopop_tau > 0.0, "[dpo] discopop_tau: got {}, expected more than 0.",
            options.discopop_tau);
}

void check_options(const SimpoOptions& options) {
  check_beta_and_smoothing("simpo", options.beta, options.label_smoothing);
  CPX_CHECK(options.label_smoothing == 0.0 || options.loss == SimpoOptions::Loss::kSigmoid,
            "[simpo] label_smoothing with loss hinge: got {}, expected 0.",
            options.label_smoothing);
}

PairLoss simpo_loss(const PairRewards& rewards, const SimpoOptions& options) {
  const double x = rewards.margin - options.beta * options.gamma_beta_ratio;
  return options.loss == SimpoOptions::Loss::kHinge
             ? hinge_loss(x)
             : sigmoid_loss(x, 1.0 - options.label_smoothing, options.label_smoothing);
}

}  // namespace

bool smooths(DpoOptions::Loss loss) {
  using Loss = DpoOptions::Loss;
  return loss == Loss::kSigmoid || loss == Loss::kRobust || loss == Loss::kExoPair;
}

bool takes_several_rejected(const DpoOptions& options) {
  return options.loss == DpoOptions::Loss::kSigmoid && options.label_smoothing == 0.0;
}

ObjectiveResult dpo(const PreferenceBatch& batch, const DpoOptions& options,
                    const StepCounts& step) {
  check_options(options);
  const DpoLoss& row = kDpoLosses[static_cast<size_t>(options.loss)];
  return sum_pairs(
      batch,
      {.name = "dpo",
       .reward_weight =
           [&](const Answer& answer) { return reward_scale(row.scale, options.beta, answer); },
       .loss = [&](const PairRewards& rewards) { return row.loss(rewards, options); },
       .has_reference = true,
       .takes_several = takes_several_rejected(options),
       .reported_weight = options.beta,
       .sft_weight = options.rpo_alpha},
      step);
}

ObjectiveResult simpo(const PreferenceBatch& batch, const SimpoOptions& options,
                      const StepCounts& step) {
  check_options(options);
  return sum_pairs(
      batch,
      {.name = "simpo",
       .reward_weight =
           [&](const Answer& answer) {
             return options.beta / static_cast<double>(answer.tokens.count);
           },
       .loss = [&](const PairRewards& rewards) { return simpo_loss(rewards, options); },
       .sft_weight = options.sft_weight},
      step);
}

}  // namespace cpx::objectives
