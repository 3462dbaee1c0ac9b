// SPDX-License-Identifier: Apache-2.0
// Prompts with several answers, as texts that share the prompt's tokens and as texts apart.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/core/random.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::models {

/// The lengths of a prompt and of its answers.
struct PromptTree {
  int64_t prompt = 1;
  std::vector<int64_t> answers;
};

/// Predictions of the same tokens, laid out both ways: every token behind a prompt is predicted.
class PromptTrees {
 public:
  /// Ids are drawn below `vocabulary`.
  PromptTrees(const std::vector<PromptTree>& trees, int64_t vocabulary, uint64_t seed);

  nn::Predictions shared() const;
  nn::Predictions apart() const;
  int64_t num_predictions() const { return std::ssize(targets_); }

 private:
  void add(const PromptTree& tree);
  int64_t draw() { return static_cast<int64_t>(rng_.below(vocabulary_)); }

  uint64_t vocabulary_;
  CounterRng rng_;
  std::vector<int64_t> shared_ids_, shared_rows_, apart_ids_, apart_rows_, targets_;
  std::vector<int64_t> token_of_place_;
  std::vector<int32_t> shared_ends_ = {0}, apart_ends_ = {0};
};

/// NLLs, and the gradients of sum(weights * nll) in the order of trainable().
std::vector<torch::Tensor> nll_and_gradients(nn::CausalLm& model,
                                             const nn::Predictions& predictions,
                                             const torch::Tensor& weights,
                                             const nn::ForwardOptions& options);

}  // namespace cpx::models
