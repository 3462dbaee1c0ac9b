// SPDX-License-Identifier: Apache-2.0
// Contrastive search: of the k likeliest next tokens the one that is likely and whose hidden state
// is unlike those of the text before it. It draws nothing.
// Source: Su et al., "A Contrastive Framework for Neural Text Generation", NeurIPS 2022 (arXiv
// 2202.06417), equation 5, as transformers 4.49 reads it (GenerationMixin._contrastive_search):
// hidden states after the last norm; all tokens of the text count, those that a sliding window has
// forgotten too. Different: a token of probability 0 is never a candidate; transformers tries
// banned tokens where fewer than k are left. Legend: N sequences, D model, T tokens, V vocabulary.
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

/// The `top_k` likeliest tokens by `probabilities` [V], without those of 0; likeliest first, of
/// equal ones the lowest id. Their similarities and scores are not known yet.
std::vector<Candidate> likeliest(std::span<const float> probabilities, int64_t top_k);

/// (1 - penalty_alpha) * probability - penalty_alpha * similarity.
double contrastive_score(const Candidate& candidate, double penalty_alpha);

/// The final hidden states of texts, float32 on the CPU, at the places that a KvCache has: a
/// prompt's once for all sequences that continue it. Everything is allocated in the beginning.
class TextStates {
 public:
  TextStates(const nn::KvCacheOptions& places, int64_t hidden_size);

  /// Bytes of all states, used or not: 4 D a token.
  int64_t num_bytes() const;

  /// The place `prompt` takes a new prompt with the states [T, D].
  void begin_prompt(int64_t prompt, std::span<const float> states);
  /// The place `sequence` continues the prompt at `prompt`.
  void begin_sequence(int64_t sequence, int64_t prompt);
  /// The sequence has a new token with the state [D].
  void add(int64_t sequence, std::span<const float> state);

  /// The highest cosine of `state` [D] with one of the sequence and its prompt. A state of zeros is
  /// like none: 0.
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

/// What was tried and what was kept.
struct ContrastiveChoice {
  std::vector<std::vector<Candidate>> candidates;  // a list a sequence, with scores
  std::vector<size_t> best;                        // its place in the list
  torch::Tensor states;                            // of the best, [N, D]
};

/// Chooses the next tokens of sequences that are in a cache. What one sequence gets does not depend
/// on the others.
class ContrastiveSearch {
 public:
  /// `model` and `cache`, which has places for candidates, must outlive it.
  ContrastiveSearch(nn::CausalLm& model, nn::KvCache& cache, double penalty_alpha);

  /// As in the cache; `states` [T, D] are the prompt's.
  void begin_prompt(int64_t prompt, const torch::Tensor& states);
  void begin_sequence(int64_t sequence, int64_t prompt);

  /// Tries the candidates of all `sequences`, a list each, in one pass of the model, and keeps of
  /// each list the first with the highest score.
  ContrastiveChoice choose(std::span<const int64_t> sequences,
                           std::vector<std::vector<Candidate>> candidates);

 private:
  nn::CausalLm& model_;
  nn::KvCache& cache_;
  double penalty_alpha_;
  TextStates states_;
};

}  // namespace cpx::generation
