// SPDX-License-Identifier: Apache-2.0
// What every objective hands back: its loss, the gradient at each token NLL, and sums for metrics.
// Objectives are pure functions in float64; none sees logits or a model.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace cpx::objectives {

/// Counts over a whole optimizer step, all its micro batches together: what the terms of a loss are
/// divided by, so that the losses of the micro batches add up to the loss of the step. Each
/// objective says which of them it reads.
struct StepCounts {
  int64_t groups = 0;
  int64_t positive_texts = 0;
  int64_t positive_tokens = 0;  // predicted tokens of the positive texts, pads not counted
  int64_t negative_texts = 0;
  /// Preferences, or texts that lead from one wording to another (transfer, cycle).
  int64_t pairs = 0;
  int64_t retained_tokens = 0;  // predicted tokens of the retained texts
  int64_t response_tokens = 0;  // of sampled responses

  StepCounts& operator+=(const StepCounts& other);
};

/// Sums over the texts of one role; those of several micro batches add up.
/// exp(nll_sum / tokens) is the role's perplexity, text_nll_sum / texts its mean text value.
struct TextSums {
  int64_t texts = 0;
  int64_t tokens = 0;         // predicted tokens, pads not counted
  double nll_sum = 0.0;       // over these tokens, natural log
  double text_nll_sum = 0.0;  // of the texts' mean NLL m_i; under published padding pads count

  TextSums& operator+=(const TextSums& other);
};

/// Sums over preferences; those of several micro batches add up. A reward is what an objective
/// takes an answer to be worth; the mean margin is the difference of the two sums over `pairs`.
struct PreferenceSums {
  int64_t pairs = 0;
  int64_t num_correct = 0;         // the chosen answer has a higher reward than every rejected one
  double chosen_reward_sum = 0.0;  // of the chosen answers
  double rejected_reward_sum = 0.0;  // of the pairs' mean over their rejected answers

  PreferenceSums& operator+=(const PreferenceSums& other);
};

/// The loss of one micro batch with its gradient.
struct ObjectiveResult {
  /// This micro batch's share of the step's loss.
  double loss = 0.0;
  /// The loss without the constant that alpha puts into it; computed without that constant, so it
  /// keeps its digits. None where the constant is none (see docs/objectives.md). Adds up as `loss`.
  std::optional<double> contrast;
  /// [N] d loss / d token_nll.
  std::vector<double> gradient;
  TextSums positives;
  TextSums hard_negatives;
  TextSums random_negatives;
  PreferenceSums preferences;
  /// Nothing is learned from this micro batch: there was no backward pass, for a reason of the
  /// objective's own.
  bool is_skipped = false;
};

}  // namespace cpx::objectives
