// SPDX-License-Identifier: Apache-2.0
// Contrastive search: among the k likeliest next tokens it takes one that is likely and whose
// hidden state is unlike those of the text before it. Nothing is random. Source: Su et al., "A
// Contrastive Framework for Neural Text Generation", NeurIPS 2022 (arXiv 2202.06417), equation 5,
// as implemented in transformers 4.49 (GenerationMixin._contrastive_search): hidden states after
// the last norm; all tokens of the text count, even those outside a sliding window. Different: a
// token of probability 0 is never a candidate; transformers tries banned tokens if fewer than k are
// left. Legend: N sequences, D model, T tokens, V vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/nn/causal_lm.h"
#include "cpx/nn/kv_cache.h"

namespace cpx::generation {

/// A token that is tried as the next one.
struct Candidate {
  int64_t id = 0;
  float probability = 0.0F;
  float similarity = 0.0F;  // highest cosine of its hidden state with one of the text before it
  double score = 0.0;
};

/// The `top_k` likeliest tokens by `probabilities` [V], likeliest first, then by id; tokens of
/// probability 0 are left out. Similarities and scores are not filled in yet.
std::vector<Candidate> likeliest(std::span<const float> probabilities, int64_t top_k);

/// (1 - penalty_alpha) * probability - penalty_alpha * similarity.
double contrastive_score(const Candidate& candidate, double penalty_alpha);

/// The final hidden states of texts, float32 on the CPU, in the same slots as in a KvCache: those
/// of a prompt are stored once for all sequences that continue it. All memory is allocated in the
/// constructor.
class TextStates {
 public:
  TextStates(const nn::KvCacheOptions& cache, int64_t hidden_size);

  /// Bytes of all states, used or not: 4 D for each token.
  int64_t num_bytes() const;

  /// Puts a new prompt with the states [T, D] into slot `prompt`.
  void begin_prompt(int64_t prompt, std::span<const float> states);
  /// Starts a new sequence in slot `sequence`, which continues the prompt of slot `prompt`.
  void begin_sequence(int64_t sequence, int64_t prompt);
  /// Appends a token with the state [D] to a sequence.
  void add(int64_t sequence, std::span<const float> state);

  /// The highest cosine between `state` [D] and a state of the sequence or its prompt; 0 for a
  /// state of zeros.
  float highest_similarity(int64_t sequence, std::span<const float> state) const;

 private:
  struct Text {
    int64_t prompt = 0;
    int64_t num_tokens = 0;
  };

  int64_t hidden_size_;
  // Rows have length 1.
  torch::Tensor prompts_;    // [prompts, T, D]
  torch::Tensor sequences_;  // [sequences, T, D]
  std::vector<int64_t> prompt_lengths_;
  std::vector<Text> texts_;
};

/// Which tokens were tried and which were kept.
struct ContrastiveChoice {
  std::vector<std::vector<Candidate>> candidates;  // one list for each sequence, with scores
  std::vector<size_t> best;                        // index of the kept one in each list
  torch::Tensor states;                            // of the kept ones, [N, D]
};

/// Chooses the next tokens of sequences in a cache. The choice for one sequence does not depend on
/// the others.
class ContrastiveSearch {
 public:
  /// `model` and `cache` must outlive *this; the cache needs room for candidates.
  ContrastiveSearch(nn::CausalLm& model, nn::KvCache& cache, double penalty_alpha);

  /// Call these when a prompt, whose states are [T, D], or a sequence begins in the cache.
  void begin_prompt(int64_t prompt, const torch::Tensor& states);
  void begin_sequence(int64_t sequence, int64_t prompt);

  /// Tries the candidates of all `sequences` (one list each) in one pass of the model, and keeps
  /// the one with the highest score of each list, the first of equal ones.
  ContrastiveChoice choose(std::span<const int64_t> sequences,
                           std::vector<std::vector<Candidate>> candidates);

 private:
  nn::CausalLm& model_;
  nn::KvCache& cache_;
  double penalty_alpha_;
  TextStates states_;
};

}  // namespace cpx::generation
