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
  int64_t top_k = 0;         // only the k highest; 0: all; in contrastive search: candidates
  double top_p = 1.0;        // only the highest whose probabilities reach p; 1: all
  double min_p = 0.0;        // only those of at least min_p times the highest probability
  /// Scores of tokens in the prompt or the text are divided by it where positive, else multiplied.
  double repetition_penalty = 1.0;
  int64_t no_repeat_ngram = 0;  // no run of so many tokens twice; 0: any
  /// More than 0: contrastive search (contrastive_search.h) among the top_k likeliest tokens, at
  /// temperature 0; the weight of being unlike the text, 0 to 1. transformers ignores it while it
  /// samples; here both together are a fault.
  double penalty_alpha = 0.0;
  int64_t min_new_tokens = 0;  // before, no stop token
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids = {};  // EOS, usually

  bool is_contrastive() const { return penalty_alpha > 0.0; }
};

/// Throws ConfigError, all faults at once, for options out of their ranges.
void check(const SamplingOptions& options);

/// Natural log of a token's probability under the softmax of scores [V], in float64.
double log_probability(std::span<const float> scores, int64_t id);

/// Chooses tokens of one sequence at a time. Keeps its buffers from call to call; not for several
/// threads at once.
class Sampler {
 public:
  explicit Sampler(SamplingOptions options) : options_(std::move(options)) {}

  /// Applies the processors in place to the scores [V] of the token after `ids` (prompt and text,
  /// of which the last `num_new` are new): banned tokens get -infinity. Throws std::runtime_error
  /// where a score is no number or none is left.
  void process(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new);

  /// process(), then the softmax of the scores [V] in their place.
  void to_probabilities(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new);

  /// The next token by process() and a draw from the softmax; greedy takes the highest, the lowest
  /// id of equal ones. `scores` become the probabilities, for greedy the processed scores.
  int64_t next(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new,
               CounterRng rng);

 private:
  void penalise_repetitions(std::span<float> scores, std::span<const int64_t> ids);
  void ban_repeated_ngrams(std::span<float> scores, std::span<const int64_t> ids) const;
  void keep_top_k(std::span<float> scores);
  void keep_top_p(std::span<float> scores);
  void keep_min_p(std::span<float> scores);
  void keep_candidates(std::span<float> scores);
  float reached_by(std::span<const float> numbers, int64_t count);
  int64_t drawn(std::span<const float> probabilities, double uniform);

  SamplingOptions options_;
  std::vector<float> numbers_;        // up to [V]
  std::vector<int64_t> candidates_;   // ids
  std::vector<float> block_highest_;  // of blocks of scores
  std::vector<double> block_sums_;
};

}  // namespace cpx::generation
