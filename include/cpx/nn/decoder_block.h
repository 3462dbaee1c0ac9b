// SPDX-License-Identifier: Apache-2.0
// The decoder block of LLaMA and Mistral; submodule names are the Hugging Face keys.
// Legend: T tokens, D model, F feed-forward, H query heads, K key heads, E head size.
#pragma once

#include <cstdint>

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/kernels/attention.h"
#include "cpx/nn/forward_context.h"
#include "cpx/nn/frozen_module.h"
#include "cpx/nn/linear.h"

namespace cpx::nn {

struct DecoderBlockOptions {
  int64_t layer = 0;              // its number, from 0
  int64_t hidden_size = 0;        // D
  int64_t intermediate_size = 0;  // F
  int64_t num_heads = 0;          // H
  int64_t num_kv_heads = 0;       // K
  int64_t head_dim = 0;           // E
  double rms_norm_eps = 1e-5;
  /// A token sees itself and the `sliding_window - 1` tokens before it; 0: all before it.
  int64_t sliding_window = 0;
  /// Biases on q_proj, k_proj, v_proj and, as in LLaMA, o_proj. Mistral has none.
  bool attention_bias = false;
  bool mlp_bias = false;
};

class RmsNormImpl : public FrozenModule {
 public:
  RmsNormImpl(int64_t size, double epsilon);
  /// `x` [T, D] to [T, D].
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor weight;  // [D]

 private:
  double epsilon_;
};
TORCH_MODULE(RmsNorm);

/// Grouped-query self-attention with rotary positions; ForwardContext::source decides which tokens
/// see which.
class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(const DecoderBlockOptions& options);
  /// `x` [T, D] to [T, D].
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  Linear q_proj{nullptr};  // [H * E, D]
  Linear k_proj{nullptr};  // [K * E, D]
  Linear v_proj{nullptr};  // [K * E, D]
  Linear o_proj{nullptr};  // [D, H * E]

 private:
  int64_t layer_;
  int64_t head_dim_;                     // E
  kernels::AttentionOptions attention_;  // scale and window
};
TORCH_MODULE(Attention);

/// The SwiGLU feed-forward network.
class MlpImpl : public torch::nn::Module {
 public:
  explicit MlpImpl(const DecoderBlockOptions& options);
  /// `x` [T, D] to [T, D].
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  Linear gate_proj{nullptr};  // [F, D]
  Linear up_proj{nullptr};    // [F, D]
  Linear down_proj{nullptr};  // [D, F]
};
TORCH_MODULE(Mlp);

/// x + attention(norm(x)), then x + mlp(norm(x)).
class DecoderBlockImpl : public torch::nn::Module {
 public:
  explicit DecoderBlockImpl(const DecoderBlockOptions& options);
  /// `x` [T, D] to [T, D]. With ForwardOptions::recompute_blocks only `x` is kept for the backward
  /// pass.
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  RmsNorm input_layernorm{nullptr};
  Attention self_attn{nullptr};
  RmsNorm post_attention_layernorm{nullptr};
  Mlp mlp{nullptr};

 private:
  torch::Tensor compute(const torch::Tensor& x, const ForwardContext& context);
};
TORCH_MODULE(DecoderBlock);

}  // namespace cpx::nn
