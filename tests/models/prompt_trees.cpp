// SPDX-License-Identifier: Apache-2.0
#include "tests/models/prompt_trees.h"

#include <ATen/ATen.h>

namespace cpx::models {

PromptTrees::PromptTrees(const std::vector<PromptTree>& trees, int64_t vocabulary, uint64_t seed)
    : vocabulary_(static_cast<uint64_t>(vocabulary)), rng_(seed, {}) {
  for (const PromptTree& tree : trees) add(tree);
}

void PromptTrees::add(const PromptTree& tree) {
  const auto first = std::ssize(shared_ids_);
  for (int64_t i = 0; i < tree.prompt; ++i) shared_ids_.push_back(draw());
  for (const int64_t length : tree.answers) {
    for (int64_t i = 0; i < tree.prompt; ++i) {
      token_of_place_.push_back(first + i);
      apart_ids_.push_back(shared_ids_[first + i]);
    }
    for (int64_t i = 0; i < length; ++i) {
      const int64_t id = draw();
      shared_rows_.push_back(token_of_place_.back());
      apart_rows_.push_back(std::ssize(apart_ids_) - 1);
      targets_.push_back(id);
      token_of_place_.push_back(std::ssize(shared_ids_));
      shared_ids_.push_back(id);
      apart_ids_.push_back(id);
    }
    shared_ends_.push_back(static_cast<int32_t>(token_of_place_.size()));
    apart_ends_.push_back(static_cast<int32_t>(apart_ids_.size()));
  }
}

nn::Predictions PromptTrees::shared() const {
  return {.ids = shared_ids_,
          .cu_seqlens = shared_ends_,
          .rows = shared_rows_,
          .targets = targets_,
          .token_of_place = token_of_place_};
}

nn::Predictions PromptTrees::apart() const {
  return {.ids = apart_ids_, .cu_seqlens = apart_ends_, .rows = apart_rows_, .targets = targets_};
}

std::vector<torch::Tensor> nll_and_gradients(nn::CausalLm& model,
                                             const nn::Predictions& predictions,
                                             const torch::Tensor& weights,
                                             const nn::ForwardOptions& options) {
  auto parameters = model.trainable();
  for (auto& parameter : parameters) parameter.value.mutable_grad().reset();
  const auto nll = nn::token_nll(model, predictions, options);
  (nll * weights).sum().backward();
  std::vector<torch::Tensor> results = {nll.detach()};
  for (const auto& parameter : parameters) results.push_back(parameter.value.grad().clone());
  return results;
}

}  // namespace cpx::models
