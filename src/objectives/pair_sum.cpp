// SPDX-License-Identifier: Apache-2.0
#include "pair_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

// ---- Checks -------------------------------------------------------------------------------------

void check_preferences(const PreferenceBatch& batch, const PairObjective& objective) {
  const std::string_view place = objective.name;
  const size_t num_predictions = batch.token_nll.size();
  for (size_t i = 0; i < batch.preferences.size(); ++i) {
    const Preference& one = batch.preferences[i];
    CPX_CHECK(!one.rejected.empty(),
              "[{}] preference {}: got no rejected answer, expected 1 or more.", place, i);
    CPX_CHECK(objective.takes_several || one.rejected.size() == 1,
              "[{}] preference {}: got {} rejected answers, expected 1: only dpo with loss sigmoid "
              "and no label_smoothing takes several. Make them preferences of their own.",
              place, i, one.rejected.size());
    check_token_range(place, "chosen answer of preference", i, one.chosen.tokens, num_predictions);
    for (const Answer& answer : one.rejected) {
      check_token_range(place, "rejected answer of preference", i, answer.tokens, num_predictions);
    }
  }
}

void check_pair_count(std::string_view place, const PreferenceBatch& batch,
                      const StepCounts& step) {
  const auto num_pairs = std::ssize(batch.preferences);
  CPX_CHECK(step.pairs >= num_pairs && step.pairs > 0,
            "[{}] the step's count is too small: got {} pairs, expected at least the {} of this "
            "micro batch.",
            place, step.pairs, num_pairs);
}

// ---- Rewards and margins ------------------------------------------------------------------------

// What an answer is worth: weight * (reference_nll - nll), nll the sum over its tokens.
struct Reward {
  double value = 0.0;
  double weight = 0.0;  // -d value / d nll of each of its tokens
};

double reference_nll(const Answer& answer, const PairObjective& objective) {
  return objective.has_reference ? answer.reference_nll : 0.0;
}

Reward reward(const Answer& answer, std::span<const double> token_nll,
              const PairObjective& objective) {
  const double weight = objective.reward_weight(answer);
  const double log_ratio = reference_nll(answer, objective) - nll_sum(answer.tokens, token_nll);
  return {.value = weight * log_ratio, .weight = weight};
}

// The rewards of a pair, and the part of each rejected answer in them.
struct Contest {
  PairRewards rewards;
  std::vector<double> shares;  // [rejected] d rewards.rejected / d reward, they add up to 1
};

// chosen - log-sum-exp of the rejected rewards: with one of them their difference. Then
// -log sigmoid of it is -log of the chosen answer's softmax among all (Plackett-Luce).
Contest contest(double chosen, const std::vector<Reward>& rejected) {
  const double highest = std::ranges::max_element(rejected, {}, &Reward::value)->value;
  Contest result;
  double sum = 0.0;
  for (const Reward& one : rejected) {
    result.shares.push_back(std::exp(one.value - highest));
    sum += result.shares.back();
  }
  for (double& share : result.shares) share /= sum;
  result.rewards = {.chosen = chosen,
                    .rejected = highest + std::log(sum),
                    .margin = chosen - highest - std::log(sum)};
  return result;
}

// ---- Sums ---------------------------------------------------------------------------------------

double reported(const Reward& reward, const PairObjective& objective) {
  if (objective.reported_weight == 0.0) return objective.reported_scale * reward.value;
  return reward.value * (objective.reported_weight / reward.weight);
}

PreferenceSums preference_sums(const Reward& chosen, const std::vector<Reward>& rejected,
                               const PairObjective& objective) {
  PreferenceSums sums{.pairs = 1, .chosen_reward_sum = reported(chosen, objective)};
  bool is_correct = true;
  for (const Reward& one : rejected) {
    const double value = reported(one, objective);
    sums.rejected_reward_sum += value / static_cast<double>(rejected.size());
    is_correct = is_correct && sums.chosen_reward_sum > value;
  }
  sums.num_correct = is_correct ? 1 : 0;
  return sums;
}

void add_preference(const Preference& one, const PreferenceBatch& batch,
                    const PairObjective& objective, double step_weight, ObjectiveResult& result) {
  const Reward chosen = reward(one.chosen, batch.token_nll, objective);
  std::vector<Reward> rejected;
  for (const Answer& answer : one.rejected) {
    rejected.push_back(reward(answer, batch.token_nll, objective));
  }
  const Contest pair = contest(chosen.value, rejected);
  const PairLoss loss = objective.loss(pair.rewards);

  result.loss += step_weight * loss.value;
  add_token_slope(one.chosen.tokens, -(step_weight * loss.chosen_slope) * chosen.weight,
                  result.gradient);
  for (size_t k = 0; k < rejected.size(); ++k) {
    add_token_slope(one.rejected[k].tokens,
                    -(step_weight * loss.rejected_slope) * pair.shares[k] * rejected[k].weight,
                    result.gradient);
  }

  result.positives += text_sums(one.chosen.tokens, batch.token_nll);
  for (const Answer& answer : one.rejected) {
    result.hard_negatives += text_sums(answer.tokens, batch.token_nll);
  }
  result.preferences += preference_sums(chosen, rejected, objective);
}

void add_sft(const PreferenceBatch& batch, const PairObjective& objective, const StepCounts& step,
             ObjectiveResult& result) {
  CPX_CHECK(step.positive_tokens >= result.positives.tokens && step.positive_tokens > 0,
            "[{}] the step's count is too small: got {} chosen tokens, expected at least the {} of "
            "this micro batch.",
            objective.name, step.positive_tokens, result.positives.tokens);
  const double token_weight = objective.sft_weight / static_cast<double>(step.positive_tokens);
  result.loss += token_weight * result.positives.nll_sum;
  for (const Preference& one : batch.preferences) {
    add_token_slope(one.chosen.tokens, token_weight, result.gradient);
  }
}

// A hinge or a share may hide a value that is not finite; the caller must see it.
bool is_finite(const PreferenceBatch& batch, const PairObjective& objective) {
  const auto has_finite_reference = [&](const Answer& answer) {
    return std::isfinite(reference_nll(answer, objective));
  };
  return all_finite(batch.token_nll) &&
         std::ranges::all_of(batch.preferences, [&](const Preference& one) {
           return has_finite_reference(one.chosen) &&
                  std::ranges::all_of(one.rejected, has_finite_reference);
         });
}

}  // namespace

void check_beta_and_smoothing(std::string_view name, double beta, double label_smoothing) {
  CPX_CHECK(beta > 0.0, "[{}] beta: got {}, expected more than 0.", name, beta);
  CPX_CHECK(label_smoothing >= 0.0 && label_smoothing < 0.5,
            "[{}] label_smoothing: got {}, expected 0 to less than 0.5.", name, label_smoothing);
}

PairLoss loss_of_margin(double value, double slope) {
  return {.value = value, .chosen_slope = slope, .rejected_slope = -slope};
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double negative_log_sigmoid(double x) {
  return std::max(-x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

PairLoss sigmoid_loss(double x, double kept, double flipped) {
  return loss_of_margin(kept * negative_log_sigmoid(x) + flipped * negative_log_sigmoid(-x),
                        flipped * sigmoid(x) - kept * sigmoid(-x));
}

PairLoss hinge_loss(double x) {
  return loss_of_margin(std::max(0.0, 1.0 - x), x < 1.0 ? -1.0 : 0.0);
}

ObjectiveResult sum_pairs(const PreferenceBatch& batch, const PairObjective& objective,
                          const StepCounts& step) {
  check_preferences(batch, objective);
  check_pair_count(objective.name, batch, step);
  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  for (const Preference& one : batch.preferences) {
    add_preference(one, batch, objective, 1.0 / static_cast<double>(step.pairs), result);
  }
  if (!is_finite(batch, objective)) result.loss = std::numeric_limits<double>::quiet_NaN();
  if (objective.sft_weight != 0.0) add_sft(batch, objective, step, result);
  return result;
}

}  // namespace cpx::objectives
