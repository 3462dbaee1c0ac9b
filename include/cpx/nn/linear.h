// SPDX-License-Identifier: Apache-2.0
// The linear layer of all models: frozen weight, optional bias, optional LoRA update.
// Legend: T tokens, I input features, O output features, R rank.
#pragma once

#include <cstdint>
#include <string_view>

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/kernels/block_weight.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/nn/forward_context.h"
#include "cpx/nn/frozen_module.h"

namespace cpx::nn {

/// True if `target` selects the linear layer `name`, as in PEFT: it is the name or its last parts.
/// "all-linear" selects every layer but lm_head.
bool matches_target(std::string_view name, std::string_view target);

struct LinearOptions {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool has_bias = false;
};

/// A low-rank update as PEFT defines it.
struct LoraConfig {
  int64_t rank = 8;
  double alpha = 16.0;
  double dropout = 0.0;
  /// Scale alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski, arXiv 2312.03732).
  bool rslora = false;

  double scale() const;
};

/// One factor of a LoRA update; a module of its own so that its key is "lora_A.weight".
class LoraFactorImpl : public torch::nn::Module {
 public:
  explicit LoraFactorImpl(torch::Tensor initial);
  torch::Tensor weight;  // float32, trainable
};
TORCH_MODULE(LoraFactor);

/// x weight^T + bias, plus scale * dropout(x) A^T B^T where an update is attached and not
/// switched off. A quantised weight works only in decoding (ForwardOptions::is_by_row).
class LinearImpl : public FrozenModule {
 public:
  explicit LinearImpl(const LinearOptions& linear_options);

  /// `x` [T, I] to [T, O].
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  /// Arguments for kernels::shared_linear(): the weights, and the update unless it is switched off.
  kernels::LinearWeights weights(const ForwardContext& context) const;

  /// Attaches an update on the weight's device: A uniform in +-1/sqrt(I), as in PEFT, drawn by
  /// `seed`; B zero. Give each layer its own `dropout_stream`, so that their dropout masks differ.
  void attach_lora(const LoraConfig& config, uint64_t seed, uint64_t dropout_stream);

  bool has_lora() const { return !lora_A.is_empty(); }
  /// True if the forward pass uses an update now: there is one, and no AdapterOffGuard is active.
  bool uses_lora() const { return has_lora() && !AdapterOffGuard::is_active(); }
  /// Key of this layer's dropout in the forward pass of `forward_options`.
  uint64_t dropout_key(const ForwardOptions& forward_options) const;
  const LoraConfig& lora() const { return lora_; }

  LinearOptions options;
  torch::Tensor weight;         // [O, I], frozen
  kernels::BlockWeight blocks;  // in place of `weight` where it is quantised
  torch::Tensor bias;           // [O], frozen, undefined without bias
  LoraFactor lora_A{nullptr};   // [R, I]
  LoraFactor lora_B{nullptr};   // [O, R]

 private:
  LoraConfig lora_;
  uint64_t dropout_stream_ = 0;
};
TORCH_MODULE(Linear);

}  // namespace cpx::nn
