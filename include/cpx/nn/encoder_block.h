// SPDX-License-Identifier: Apache-2.0
// The encoder block of BERT and RoBERTa, for inference; submodule names are the Hugging Face keys.
// Legend: N texts, T tokens of all texts, Q rows that are needed, D model, F feed-forward, H heads.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/nn/frozen_module.h"
#include "cpx/nn/linear.h"

namespace cpx::nn {

struct EncoderBlockOptions {
  int64_t hidden_size = 0;        // D
  int64_t intermediate_size = 0;  // F
  int64_t num_heads = 0;          // H
  double layer_norm_eps = 1e-5;
};

/// (x - mean) / sqrt(variance + epsilon) * weight + bias, over a row.
class LayerNormImpl : public FrozenModule {
 public:
  LayerNormImpl(int64_t size, double epsilon);
  /// `x` [T, D] to [T, D].
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor weight;  // [D]
  torch::Tensor bias;    // [D]

 private:
  double epsilon_;
};
TORCH_MODULE(LayerNorm);

/// Which rows a block computes: all tokens, or only the first of each text.
enum class BlockRows { kAll, kFirst };

/// Attention in both directions over packed texts, without its output projection.
class EncoderSelfAttentionImpl : public torch::nn::Module {
 public:
  explicit EncoderSelfAttentionImpl(const EncoderBlockOptions& options);
  /// `asked` [Q, D] attends to `x` [T, D]; returns [Q, D]. Text i has the rows query_limits[i] to
  /// query_limits[i + 1] of `asked` and the rows cu_seqlens[i] to cu_seqlens[i + 1] of `x`.
  torch::Tensor forward(const torch::Tensor& asked, const std::vector<int32_t>& query_limits,
                        const torch::Tensor& x, const std::vector<int32_t>& cu_seqlens);

  Linear query{nullptr};  // [D, D]
  Linear key{nullptr};    // [D, D]
  Linear value{nullptr};  // [D, D]

 private:
  int64_t num_heads_;
};
TORCH_MODULE(EncoderSelfAttention);

/// LayerNorm(dense(x) + residual): the end of both halves of a block.
class EncoderOutputImpl : public torch::nn::Module {
 public:
  EncoderOutputImpl(int64_t in_features, const EncoderBlockOptions& options);
  /// `x` [Q, in_features] and `residual` [Q, D] to [Q, D].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& residual);

  Linear dense{nullptr};
  LayerNorm layer_norm{nullptr};  // "LayerNorm"
};
TORCH_MODULE(EncoderOutput);

/// The attention's half of a block.
class EncoderAttentionImpl : public torch::nn::Module {
 public:
  explicit EncoderAttentionImpl(const EncoderBlockOptions& options);
  /// `x` [T, D] to [Q, D].
  torch::Tensor forward(const torch::Tensor& x, const std::vector<int32_t>& cu_seqlens,
                        BlockRows rows);

  EncoderSelfAttention self{nullptr};
  EncoderOutput output{nullptr};
};
TORCH_MODULE(EncoderAttention);

/// The widening of the feed-forward network: GELU (with erf) of a linear layer.
class EncoderIntermediateImpl : public torch::nn::Module {
 public:
  explicit EncoderIntermediateImpl(const EncoderBlockOptions& options);
  /// `x` [Q, D] to [Q, F].
  torch::Tensor forward(const torch::Tensor& x);

  Linear dense{nullptr};  // [F, D]
};
TORCH_MODULE(EncoderIntermediate);

/// h = LayerNorm(x + attention(x)), then LayerNorm(h + feed-forward(h)).
class EncoderBlockImpl : public torch::nn::Module {
 public:
  explicit EncoderBlockImpl(const EncoderBlockOptions& options);
  /// `x` [T, D] to [T, D], or to [N, D] where only each text's first token is asked for.
  torch::Tensor forward(const torch::Tensor& x, const std::vector<int32_t>& cu_seqlens,
                        BlockRows rows = BlockRows::kAll);

  EncoderAttention attention{nullptr};
  EncoderIntermediate intermediate{nullptr};
  EncoderOutput output{nullptr};
};
TORCH_MODULE(EncoderBlock);

}  // namespace cpx::nn
