// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/preference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

// ---- Checks -------------------------------------------------------------------------------------

void check_beta_and_smoothing(std::string_view place, double beta, double label_smoothing) {
  CPX_CHECK(beta > 0.0, "[{}] beta: got {}, expected more than 0.", place, beta);
  CPX_CHECK(label_smoothing >= 0.0 && label_smoothing < 0.5,
            "[{}] label_smoothing: got {}, expected 0 to less than 0.5.", place, label_smoothing);
}

void check_options(const DpoOptions& options) {
  check_beta_and_smoothing("dpo", options.beta, options.label_smoothing);
  CPX_CHECK(options.label_smoothing == 0.0 || options.loss == DpoOptions::Loss::kSigmoid ||
                options.loss == DpoOptions::Loss::kRobust,
            "[dpo] label_smoothing with loss hinge or ipo: got {}, expected 0.",
            options.label_smoothing);
}

void check_options(const SimpoOptions& options) {
  check_beta_and_smoothing("simpo", options.beta, options.label_smoothing);
  CPX_CHECK(options.label_smoothing == 0.0 || options.loss == SimpoOptions::Loss::kSigmoid,
            "[simpo] label_smoothing with loss hinge: got {}, expected 0.",
            options.label_smoothing);
}

bool takes_several(const DpoOptions& options) {
  return options.loss == DpoOptions::Loss::kSigmoid && options.label_smoothing == 0.0;
}

bool takes_several(const SimpoOptions& /*options*/) { return false; }

void check_preferences(std::string_view place, const PreferenceBatch& batch, bool takes_several) {
  const size_t num_predictions = batch.token_nll.size();
  for (size_t i = 0; i < batch.preferences.size(); ++i) {
    const Preference& one = batch.preferences[i];
    CPX_CHECK(!one.rejected.empty(),
              "[{}] preference {}: got no rejected answer, expected 1 or more.", place, i);
    CPX_CHECK(takes_several || one.rejected.size() == 1,
              "[{}] preference {}: got {} rejected answers, expected 1: only dpo with loss sigmoid "
              "and no label_smoothing takes several. Make them preferences of their own.",
              place, i, one.rejected.size());
    check_token_range(place, "chosen answer of preference", i, one.chosen.tokens, num_predictions);
    for (const Answer& answer : one.rejected) {
      check_token_range(place, "rejected answer of preference", i, answer.tokens, num_predictions);
    }
  }
}

void check_step(std::string_view place, const PreferenceBatch& batch, const StepCounts& step) {
  const auto num_pairs = std::ssize(batch.preferences);
  CPX_CHECK(step.pairs >= num_pairs && step.pairs > 0,
            "[{}] the step's count is too small: got {} pairs, expected at least the {} of this "
            "micro batch.",
            place, step.pairs, num_pairs);
}

// ---- Rewards and margins ------------------------------------------------------------------------

/// What an answer is worth: weight * (reference_nll - nll), nll the sum over its tokens.
struct Reward {
  double value = 0.0;
  double weight = 0.0;  // -d value / d nll of each of its tokens
};

/// beta, and for a loss over mean log ratios 1 / tokens.
double reward_weight(const Answer& answer, const DpoOptions& options) {
  return options.loss == DpoOptions::Loss::kIpo ? 1.0 / static_cast<double>(answer.tokens.count)
                                                : options.beta;
}

double reward_weight(const Answer& answer, const SimpoOptions& options) {
  return options.beta / static_cast<double>(answer.tokens.count);
}

double reference_nll(const Answer& answer, const DpoOptions& /*options*/) {
  return answer.reference_nll;
}

double reference_nll(const Answer& /*answer*/, const SimpoOptions& /*options*/) { return 0.0; }

template <class Options>
Reward reward(const Answer& answer, std::span<const double> token_nll, const Options& options) {
  const double weight = reward_weight(answer, options);
  const double log_ratio = reference_nll(answer, options) - nll_sum(answer.tokens, token_nll);
  return {.value = weight * log_ratio, .weight = weight};
}

/// How far the chosen reward lies above the rejected ones.
struct Margin {
  double value = 0.0;
  std::vector<double> shares;  // [rejected] -d value / d reward, they add up to 1
};

/// chosen - log-sum-exp of the rejected rewards: with one of them their difference. Then
/// -log sigmoid of it is -log of the chosen answer's softmax among all (Plackett-Luce).
Margin margin_over(double chosen, const std::vector<Reward>& rejected) {
  const double highest = std::ranges::max_element(rejected, {}, &Reward::value)->value;
  Margin margin;
  double sum = 0.0;
  for (const Reward& one : rejected) {
    margin.shares.push_back(std::exp(one.value - highest));
    sum += margin.shares.back();
  }
  for (double& share : margin.shares) {
    share /= sum;
  }
  margin.value = chosen - highest - std::log(sum);
  return margin;
}

// ---- Losses of one margin -----------------------------------------------------------------------

struct MarginLoss {
  double value = 0.0;
  double slope = 0.0;  // d value / d margin
};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

/// -log sigmoid(x), for any size of x.
double negative_log_sigmoid(double x) {
  return std::max(-x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

/// `kept` of the loss of x, `flipped` of that of -x.
MarginLoss sigmoid_loss(double x, double kept, double flipped) {
  return {.value = kept * negative_log_sigmoid(x) + flipped * negative_log_sigmoid(-x),
          .slope = flipped * sigmoid(x) - kept * sigmoid(-x)};
}

MarginLoss hinge_loss(double x) {
  return {.value = std::max(0.0, 1.0 - x), .slope = x < 1.0 ? -1.0 : 0.0};
}

MarginLoss margin_loss(double margin, const DpoOptions& options) {
  const double smoothing = options.label_smoothing;
  switch (options.loss) {
    case DpoOptions::Loss::kSigmoid:
      break;
    case DpoOptions::Loss::kHinge:
      return hinge_loss(margin);
    case DpoOptions::Loss::kIpo: {
      const double excess = margin - 1.0 / (2.0 * options.beta);
      return {.value = excess * excess, .slope = 2.0 * excess};
    }
    case DpoOptions::Loss::kRobust: {
      const double scale = 1.0 / (1.0 - 2.0 * smoothing);
      return sigmoid_loss(margin, scale * (1.0 - smoothing), -scale * smoothing);
    }
  }
  return sigmoid_loss(margin, 1.0 - smoothing, smoothing);
}

MarginLoss margin_loss(double margin, const SimpoOptions& options) {
  const double x = margin - options.beta * options.gamma_beta_ratio;
  return options.loss == SimpoOptions::Loss::kHinge
             ? hinge_loss(x)
             : sigmoid_loss(x, 1.0 - options.label_smoothing, options.label_smoothing);
}

// ---- Sums ---------------------------------------------------------------------------------------

/// Rewards as they are reported: of the whole answer under dpo, whatever its loss averages.
double reported(const Reward& reward, const DpoOptions& options) {
  return reward.value * (options.beta / reward.weight);
}

double reported(const Reward& reward, const SimpoOptions& /*options*/) { return reward.value; }

template <class Options>
PreferenceSums preference_sums(const Reward& chosen, const std::vector<Reward>& rejected,
                               const Options& options) {
  PreferenceSums sums{.pairs = 1, .chosen_reward_sum = reported(chosen, options)};
  bool is_correct = true;
  for (const Reward& one : rejected) {
    const double value = reported(one, options);
    sums.rejected_reward_sum += value / static_cast<double>(rejected.size());
    is_correct = is_correct && sums.chosen_reward_sum > value;
  }
  sums.num_correct = is_correct ? 1 : 0;
  return sums;
}

template <class Options>
void add_preference(const Preference& one, const PreferenceBatch& batch, const Options& options,
                    double step_weight, ObjectiveResult& result) {
  const Reward chosen = reward(one.chosen, batch.token_nll, options);
  std::vector<Reward> rejected;
  for (const Answer& answer : one.rejected) {
    rejected.push_back(reward(answer, batch.token_nll, options));
  }
  const Margin margin = margin_over(chosen.value, rejected);
  const MarginLoss loss = margin_loss(margin.value, options);

  result.loss += step_weight * loss.value;
  const double slope = step_weight * loss.slope;  // d loss / d margin
  add_token_slope(one.chosen.tokens, -slope * chosen.weight, result.gradient);
  for (size_t k = 0; k < rejected.size(); ++k) {
    add_token_slope(one.rejected[k].tokens, slope * margin.shares[k] * rejected[k].weight,
                    result.gradient);
  }

  result.positives += text_sums(one.chosen.tokens, batch.token_nll);
  for (const Answer& answer : one.rejected) {
    result.hard_negatives += text_sums(answer.tokens, batch.token_nll);
  }
  result.preferences += preference_sums(chosen, rejected, options);
}

/// A hinge or a share may hide a value that is not finite; the caller must see it.
template <class Options>
bool is_finite(const PreferenceBatch& batch, const Options& options) {
  const auto has_finite_reference = [&](const Answer& answer) {
    return std::isfinite(reference_nll(answer, options));
  };
  return all_finite(batch.token_nll) &&
         std::ranges::all_of(batch.preferences, [&](const Preference& one) {
           return has_finite_reference(one.chosen) &&
                  std::ranges::all_of(one.rejected, has_finite_reference);
         });
}

template <class Options>
ObjectiveResult sum_preferences(std::string_view place, const PreferenceBatch& batch,
                                const Options& options, const StepCounts& step) {
  check_options(options);
  check_preferences(place, batch, takes_several(options));
  check_step(place, batch, step);
  ObjectiveResult result;
  result.gradient.assign(batch.token_nll.size(), 0.0);
  for (const Preference& one : batch.preferences) {
    add_preference(one, batch, options, 1.0 / static_cast<double>(step.pairs), result);
  }
  if (!is_finite(batch, options)) {
    result.loss = std::numeric_limits<double>::quiet_NaN();
  }
  return result;
}

}  // namespace

ObjectiveResult dpo(const PreferenceBatch& batch, const DpoOptions& options,
                    const StepCounts& step) {
  return sum_preferences("dpo", batch, options, step);
}

ObjectiveResult simpo(const PreferenceBatch& batch, const SimpoOptions& options,
                      const StepCounts& step) {
  ObjectiveResult result = sum_preferences("simpo", batch, options, step);
  if (options.sft_weight == 0.0) {
    return result;
  }
  CPX_CHECK(step.positive_tokens >= result.positives.tokens && step.positive_tokens > 0,
            "[simpo] the step's count is too small: got {} chosen tokens, expected at least the {} "
            "of this micro batch.",
            step.positive_tokens, result.positives.tokens);
  const double token_weight = options.sft_weight / static_cast<double>(step.positive_tokens);
  result.loss += token_weight * result.positives.nll_sum;
  for (const Preference& one : batch.preferences) {
    add_token_slope(one.chosen.tokens, token_weight, result.gradient);
  }
  return result;
}

}  // namespace cpx::objectives
