// SPDX-License-Identifier: Apache-2.0
// From the scores of sampled responses to the advantages and returns that PPO learns from: KL
// penalty, per-token rewards, generalized advantage estimation, whitening, and the controller of
// the KL coefficient. Formulas: docs/objectives.md.
// Source: TRL 0.11.4 (1f8ba929), PPOTrainer.step, compute_rewards, compute_advantages, core.py;
// names are TRL's. Schulman et al., arXiv 1707.06347 and 1506.02438; Ziegler et al., 1909.08593.
// R = tokens of all responses of a batch, laid end to end; a response's value at a token is that
// of the state that predicts it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

// ---- Scores -------------------------------------------------------------------------------------

/// Running mean and deviation of all scores so far; part of a checkpoint.
struct RunningMoments {
  double mean = 0.0;
  double std = 1.0;      // with Bessel's correction; 1 until there are two scores
  double var = 1.0;      // without it
  double count = 1e-24;  // a trace of the start value, as TRL has it

  bool operator==(const RunningMoments&) const = default;
};

/// The moments after a batch of scores.
RunningMoments updated_moments(const RunningMoments& moments, std::span<const double> scores);

/// What a reward model said of a response.
struct ResponseScore {
  double score = 0.0;
  bool has_eos = true;  // the response ended by itself
};

struct ScoreOptions {
  /// Taken from the score of a response that was cut.
  std::optional<double> missing_eos_penalty = std::nullopt;
  bool use_score_scaling = false;                   // divides by the running deviation
  bool use_score_norm = false;                      // with scaling: takes the running mean first
  std::optional<double> score_clip = std::nullopt;  // positive; to +- this, last of all
};

struct ProcessedScores {
  std::vector<double> scores = {};
  RunningMoments moments = {};  // unchanged without scaling
};

/// The scores as rewards. The moments take in the batch (penalties included) before it is scaled.
/// Throws std::invalid_argument for a score that is not finite.
ProcessedScores process_scores(std::span<const ResponseScore> scores, const ScoreOptions& options,
                               const RunningMoments& moments);

// ---- KL -----------------------------------------------------------------------------------------

/// Estimators of the KL divergence from the reference at a token, d = log-probability minus that of
/// the reference: d, |d|, d^2 / 2, e^-d - 1 + d, or the exact divergence, which is an input.
enum class KlPenalty { kKl, kAbs, kMse, kK3, kFull };
constexpr std::array<std::string_view, 5> enum_names(KlPenalty) {
  return {"kl", "abs", "mse", "k3", "full"};
}

/// The coefficient of the KL penalty.
struct KlOptions {
  double init_kl_coef = 0.2;
  bool adap_kl_ctrl = true;  // else the coefficient stays
  double target = 6.0;       // of the adaptive controller: KL of a response, positive
  double horizon = 10000.0;  // responses over which it acts, positive
};

/// The coefficient after a batch of `num_responses` whose mean KL is `mean_kl`.
double updated_kl_coef(double kl_coef, const KlOptions& options, double mean_kl,
                       int64_t num_responses);

// ---- Rewards and advantages ---------------------------------------------------------------------

/// Sampled responses. Each has a token or more; nothing is kept of the spans.
struct RolloutBatch {
  std::span<const TokenRange> responses = {};
  std::span<const double> token_nll = {};            // [R] of the policy that sampled
  std::span<const double> reference_token_nll = {};  // [R]
  std::span<const double> full_kl = {};              // [R] only read by kFull
};

struct TokenRewards {
  std::vector<double> rewards;  // [R] -kl_coef * kl, and the score on a response's last token
  std::vector<double> kl;       // [R]
  double mean_kl = 0.0;         // over responses of the sum over their tokens
  double mean_non_score_reward = 0.0;  // over tokens
};

/// Rewards of each token; `scores` one a response.
TokenRewards token_rewards(const RolloutBatch& batch, std::span<const double> scores,
                           KlPenalty kl_penalty, double kl_coef);

/// (values - mean) / sqrt(variance + 1e-8), plus the mean unless `shift_mean`, over the tokens of
/// all responses together; the variance has Bessel's correction and is 0 for a single token.
/// Values outside the responses become 0.
std::vector<double> masked_whiten(std::span<const double> values,
                                  std::span<const TokenRange> responses, bool shift_mean);

struct AdvantageOptions {
  double gamma = 1.0;
  double lam = 0.95;
  bool whiten_rewards = false;  // before the estimation, without shifting the mean
};

struct Advantages {
  std::vector<double> advantages;  // [R] whitened
  std::vector<double> returns;     // [R] advantages before whitening, plus values
};

/// Generalized advantage estimation, response by response from its last token back.
Advantages compute_advantages(std::span<const TokenRange> responses, std::span<const double> values,
                              std::span<const double> rewards, const AdvantageOptions& options);

}  // namespace cpx::objectives
