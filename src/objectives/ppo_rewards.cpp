// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/ppo_rewards.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "cpx/core/error.h"
#include "token_ranges.h"

namespace cpx::objectives {

namespace {

// TRL's scores are float32; this keeps a deviation of 0 from dividing.
constexpr double kScoreEpsilon = std::numeric_limits<float>::epsilon();
constexpr double kWhitenEpsilon = 1e-8;

struct Moments {
  double mean = 0.0;
  double squares = 0.0;  // sum of squared distances from the mean
};

template <class ForEach>
Moments moments_of(double count, const ForEach& for_each) {
  Moments moments;
  for_each([&](double value) { moments.mean += value / count; });
  for_each(
      [&](double value) { moments.squares += (value - moments.mean) * (value - moments.mean); });
  return moments;
}

double scaled(double score, const ScoreOptions& options, const RunningMoments& moments) {
  if (options.use_score_scaling) {
    const double mean = options.use_score_norm ? moments.mean : 0.0;
    score = (score - mean) / (moments.std + kScoreEpsilon);
  }
  return options.score_clip ? std::clamp(score, -*options.score_clip, *options.score_clip) : score;
}

double kl_at(size_t t, const RolloutBatch& batch, KlPenalty kl_penalty) {
  const double difference = batch.reference_token_nll[t] - batch.token_nll[t];
  switch (kl_penalty) {
    case KlPenalty::kKl:
      return difference;
    case KlPenalty::kAbs:
      return std::abs(difference);
    case KlPenalty::kMse:
      return 0.5 * difference * difference;
    case KlPenalty::kK3:
      return std::expm1(-difference) + difference;
    case KlPenalty::kFull:
      break;
  }
  return batch.full_kl[t];
}

void check_responses(std::string_view place, std::span<const TokenRange> responses,
                     size_t num_tokens) {
  for (size_t i = 0; i < responses.size(); ++i) {
    check_token_range(place, "response", i, responses[i], num_tokens);
  }
}

void check_size(std::string_view place, std::string_view what, size_t size, size_t expected) {
  CPX_CHECK(size == expected, "[{}] {}: got {}, expected {}.", place, what, size, expected);
}

double count_tokens(std::span<const TokenRange> responses) {
  int64_t tokens = 0;
  for (const TokenRange& response : responses) tokens += response.count;
  return static_cast<double>(tokens);
}

template <class Visit>
void for_each_token(std::span<const TokenRange> responses, const Visit& visit) {
  for (const TokenRange& response : responses) {
    for (int64_t t = response.first; t < response.first + response.count; ++t) {
      visit(static_cast<size_t>(t));
    }
  }
}

}  // namespace

// ---- Scores -------------------------------------------------------------------------------------

RunningMoments updated_moments(const RunningMoments& moments, std::span<const double> scores) {
  if (scores.empty()) return moments;
  const auto count = static_cast<double>(scores.size());
  const Moments batch =
      moments_of(count, [&](const auto& visit) { std::ranges::for_each(scores, visit); });
  RunningMoments result;
  result.count = moments.count + count;
  const double delta = batch.mean - moments.mean;
  const double between = delta * delta * moments.count * count / result.count;
  result.mean = moments.mean + delta * count / result.count;
  result.var = (moments.var * moments.count + between + batch.squares) / result.count;
  // TRL divides by 0 after a single score.
  result.std =
      result.count > 1.0 ? std::sqrt(result.var * result.count / (result.count - 1.0)) : 1.0;
  return result;
}

ProcessedScores process_scores(std::span<const ResponseScore> scores, const ScoreOptions& options,
                               const RunningMoments& moments) {
  CPX_CHECK(!options.score_clip || *options.score_clip > 0.0,
            "[process_scores] score_clip: got {}, expected more than 0.",
            options.score_clip.value_or(0.0));
  ProcessedScores result{.moments = moments};
  for (size_t i = 0; i < scores.size(); ++i) {
    CPX_CHECK(std::isfinite(scores[i].score),
              "[process_scores] score of response {}: got {}, expected a finite number.", i,
              scores[i].score);
    const double penalty = scores[i].has_eos ? 0.0 : options.missing_eos_penalty.value_or(0.0);
    result.scores.push_back(scores[i].score - penalty);
  }
  if (options.use_score_scaling) result.moments = updated_moments(moments, result.scores);
  for (double& score : result.scores) score = scaled(score, options, result.moments);
  return result;
}

// ---- KL -----------------------------------------------------------------------------------------

double updated_kl_coef(double kl_coef, const KlOptions& options, double mean_kl,
                       int64_t num_responses) {
  if (!options.adap_kl_ctrl) return kl_coef;
  CPX_CHECK(options.target > 0.0 && options.horizon > 0.0,
            "[updated_kl_coef] target and horizon: got {} and {}, expected more than 0.",
            options.target, options.horizon);
  const double error = std::clamp(mean_kl / options.target - 1.0, -0.2, 0.2);
  return kl_coef * (1.0 + error * static_cast<double>(num_responses) / options.horizon);
}

// ---- Rewards and advantages ---------------------------------------------------------------------

TokenRewards token_rewards(const RolloutBatch& batch, std::span<const double> scores,
                           KlPenalty kl_penalty, double kl_coef) {
  const size_t num_tokens = batch.token_nll.size();
  check_responses("token_rewards", batch.responses, num_tokens);
  check_size("token_rewards", "scores", scores.size(), batch.responses.size());
  check_size("token_rewards", "the reference's token NLLs", batch.reference_token_nll.size(),
             num_tokens);
  if (kl_penalty == KlPenalty::kFull) {
    check_size("token_rewards", "full KL values", batch.full_kl.size(), num_tokens);
  }

  TokenRewards result{.rewards = std::vector<double>(num_tokens),
                      .kl = std::vector<double>(num_tokens)};
  double kl_sum = 0.0;
  for_each_token(batch.responses, [&](size_t t) {
    result.kl[t] = kl_at(t, batch, kl_penalty);
    result.rewards[t] = -kl_coef * result.kl[t];
    kl_sum += result.kl[t];
  });
  if (!batch.responses.empty()) {
    result.mean_kl = kl_sum / static_cast<double>(batch.responses.size());
    result.mean_non_score_reward = -kl_coef * kl_sum / count_tokens(batch.responses);
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const TokenRange& response = batch.responses[i];
    result.rewards[response.first + response.count - 1] += scores[i];
  }
  return result;
}

std::vector<double> masked_whiten(std::span<const double> values,
                                  std::span<const TokenRange> responses, bool shift_mean) {
  check_responses("masked_whiten", responses, values.size());
  const double count = count_tokens(responses);
  const Moments moments = moments_of(count, [&](const auto& visit) {
    for_each_token(responses, [&](size_t t) { visit(values[t]); });
  });
  const double variance = count > 1.0 ? moments.squares / (count - 1.0) : 0.0;
  const double scale = 1.0 / std::sqrt(variance + kWhitenEpsilon);
  std::vector<double> whitened(values.size());
  for_each_token(responses, [&](size_t t) {
    whitened[t] = (values[t] - moments.mean) * scale + (shift_mean ? 0.0 : moments.mean);
  });
  return whitened;
}

Advantages compute_advantages(std::span<const TokenRange> responses, std::span<const double> values,
                              std::span<const double> rewards, const AdvantageOptions& options) {
  check_responses("compute_advantages", responses, values.size());
  check_size("compute_advantages", "rewards", rewards.size(), values.size());
  std::vector<double> own(rewards.begin(), rewards.end());
  if (options.whiten_rewards) {
    own = masked_whiten(own, responses, /*shift_mean=*/false);
  }

  Advantages result{.advantages = std::vector<double>(values.size()),
                    .returns = std::vector<double>(values.size())};
  for (const TokenRange& response : responses) {
    double advantage = 0.0;   // of the token after
    double next_value = 0.0;  // nothing follows the last token
    for (int64_t t = response.first + response.count - 1; t >= response.first; --t) {
      const double delta = own[t] + options.gamma * next_value - values[t];
      advantage = delta + options.gamma * options.lam * advantage;
      next_value = values[t];
      result.advantages[t] = advantage;
      result.returns[t] = advantage + values[t];
    }
  }
  result.advantages = masked_whiten(result.advantages, responses, /*shift_mean=*/true);
  return result;
}

}  // namespace cpx::objectives
