// SPDX-License-Identifier: Apache-2.0
// A language model whose token NLL can be worked out by hand: target + 1000 * (tokens seen).
#pragma once

#include <utility>
#include <vector>

#include "cpx/nn/causal_lm.h"

namespace cpx {

/// nll(target) = target + 1000 * c, where c tokens of the same sequence stand before it; the hidden
/// state of a token is c alone. Keeps what it was asked for.
class CountingModel final : public nn::CausalLm {
 public:
  nn::ModelShape sizes = {};
  std::vector<std::vector<int32_t>> packs = {};  // the cu_seqlens of each forward pass
  int64_t num_predictions = 0;
  bool saw_gradient_mode = false;

  torch::Tensor hidden_states(const nn::PackedTokens& tokens, const nn::ForwardOptions&) override;
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const nn::ForwardOptions&) override;
  torch::Tensor logits(const torch::Tensor& hidden, const nn::ForwardOptions&) override;
  std::vector<nn::NamedParameter> trainable() const override { return {}; }
  const nn::ModelShape& shape() const override { return sizes; }
  torch::Device device() const override { return torch::kCPU; }
  torch::Dtype dtype() const override { return torch::kFloat32; }
};

}  // namespace cpx
