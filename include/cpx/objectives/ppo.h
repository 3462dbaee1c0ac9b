// SPDX-License-Identifier: Apache-2.0
// Proximal policy optimization: the clipped losses of policy and value, with gradients by the new
// NLLs and values. What goes in comes from ppo_rewards.h. Formulas: docs/objectives.md.
// Source: TRL 0.11.4 (1f8ba929), PPOTrainer.loss, record_step_stats, _early_stop; names are TRL's.
// Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347.
// N = predictions of a micro batch, L = tokens of a response.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// One sampled response: where its predictions lie now, and what was known when it was sampled.
struct PpoResponse {
  TokenRange tokens = {};                   // an empty one is an error
  std::span<const double> old_nll = {};     // [L] natural log
  std::span<const double> old_values = {};  // [L]
  std::span<const double> advantages = {};  // [L]
  std::span<const double> returns = {};     // [L]
};

/// A micro batch; nothing is kept of the spans.
struct PpoBatch {
  std::span<const PpoResponse> responses = {};
  std::span<const double> token_nll = {};      // [N] natural log
  std::span<const double> values = {};         // [N] of the states that predict the tokens
  std::span<const double> token_entropy = {};  // [N] only for metrics; may be empty
};

struct PpoOptions {
  double cliprange = 0.2;         // of the ratio of probabilities, about 1
  double cliprange_value = 0.2;   // of a value, about the old one
  double vf_coef = 0.1;           // weight of the value loss
  double ratio_threshold = 10.0;  // a micro batch whose mean ratio lies above it is skipped
};

/// Sums over tokens; those of several micro batches add up. A mean is a sum over `tokens`.
struct PpoSums {
  int64_t tokens = 0;
  int64_t skipped_tokens = 0;  // of micro batches that were skipped; their losses count as 0
  int64_t num_clipped = 0;     // tokens whose clipped policy loss is the larger
  int64_t num_clipped_values = 0;
  double policy_loss = 0.0;     // of the clipped policy loss
  double value_loss = 0.0;      // of half the clipped squared error
  double ratio = 0.0;           // new probability over old
  double squared_change = 0.0;  // of log-probabilities; approxkl is half its mean
  double change = 0.0;          // old log-probability minus new; policykl is its mean
  double entropy = 0.0;         // 0 where none was given
  double squared_error = 0.0;   // of values against returns
  double value = 0.0;
  double advantage = 0.0;
  double returns = 0.0;
  double squared_returns = 0.0;

  PpoSums& operator+=(const PpoSums& other);
};

/// 1 - mean squared error of the values / variance of the returns (Bessel's correction): 1 for
/// perfect values, 0 for values no better than the mean. None where the returns do not vary.
std::optional<double> explained_variance(const PpoSums& sums);

/// Has the policy moved too far in this batch? Above 1.5 target_kl, as TRL's early stopping.
bool is_above_target_kl(double policy_kl, double target_kl);

struct PpoResult {
  /// This micro batch's share of the step's loss: policy loss + vf_coef * value loss.
  double loss = 0.0;
  std::vector<double> gradient;        // [N] d loss / d token_nll
  std::vector<double> value_gradient;  // [N] d loss / d values
  bool is_skipped = false;             // loss and gradients are 0
  PpoSums sums = {};
};

/// The losses over `step_tokens`, the responses' tokens of the whole optimizer step. A NLL, value,
/// advantage or return that is not finite gives a loss of NaN and never throws; anything else that
/// does not fit is std::invalid_argument.
PpoResult ppo(const PpoBatch& batch, const PpoOptions& options, int64_t step_tokens);

}  // namespace cpx::objectives
