// SPDX-License-Identifier: Apache-2.0
// How the next token is chosen from the model's scores: transformers' logits processors in its
// order (5.23, GenerationMixin._get_logits_processor), then a draw.
// Legend: V vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/core/random.h"

namespace cpx::generation {

/// Defaults: the model's own distribution. Names as transformers' GenerationConfig has them.
struct SamplingOptions {
  double temperature = 1.0;  // 0: greedy, the highest score
  int64_t top_k = 0;   // keep the k highest; 0: all; in contrastive search: number of candidates
  double top_p = 1.0;  // keep the likeliest whose probabilities sum up to p; 1: all
  double min_p = 0.0;  // keep those with at least min_p times the highest probability
  /// Tokens that occur in prompt or text: positive scores are divided by it, negative multiplied.
  double repetition_penalty = 1.0;
  int64_t no_repeat_ngram = 0;  // no run of this many tokens may occur twice; 0: no such rule
  /// Above 0: contrastive search (contrastive_search.h) among the top_k likeliest tokens. It is the
  /// weight, 0 to 1, of being unlike the text before. Needs temperature 0; transformers ignores it
  /// while sampling, here the combination is an error.
  double penalty_alpha = 0.0;
  int64_t min_new_tokens = 0;  // no stop token before this many
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids = {};  // EOS, usually

  bool is_contrastive() const { return penalty_alpha > 0.0; }
};

/// Throws ConfigError, which lists all faults, for options out of their ranges.
void check(const SamplingOptions& options);

/// Natural log of the probability of token `id` under the softmax of `scores` [V], in float64.
double log_probability(std::span<const float> scores, int64_t id);

/// Chooses tokens for one sequence at a time. It reuses its buffers, so calls must not overlap.
class Sampler {
 public:
  explicit Sampler(SamplingOptions options) : options_(std::move(options)) {}

  /// Applies the processors to `scores` [V], in place; banned tokens get -infinity. `ids` is the
  /// prompt and the text so far, with `num_new` new tokens at its end. Throws std::runtime_error if
  /// a score is not a number or every token is banned.
  void process(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new);

  /// Calls process(), then replaces the scores [V] by their softmax.
  void to_probabilities(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new);

  /// Calls process() and draws the next token from the softmax. At temperature 0 it takes the
  /// highest score, of equal ones that with the lowest id. Afterwards `scores` are probabilities,
  /// at temperature 0 the processed scores.
  int64_t next(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new,
               CounterRng rng);

 private:
  void penalise_repetitions(std::span<float> scores, std::span<const int64_t> ids);
  void ban_repeated_ngrams(std::span<float> scores, std::span<const int64_t> ids) const;
  void keep_top_k(std::span<float> scores);
  void keep_top_p(std::span<float> scores);
  void keep_min_p(std::span<float> scores);
  void keep_candidates(std::span<float> scores);
  float top_k_threshold(std::span<const float> numbers, int64_t count);
  int64_t token_at(std::span<const float> probabilities, double uniform);

  SamplingOptions options_;
  std::vector<float> numbers_;        // up to [V]
  std::vector<int64_t> candidates_;   // ids
  std::vector<float> block_highest_;  // the maximum of each block of scores
  std::vector<double> block_sums_;    // the sum of each block of probabilities
};

}  // namespace cpx::generation
