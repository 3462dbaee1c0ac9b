// SPDX-License-Identifier: Apache-2.0
// LLaMA and Mistral; submodule names are the Hugging Face keys.
// Legend: T tokens, N predictions, D model, V vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/formats/model_config.h"
#include "cpx/kernels/block_weight.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/nn/decoder_block.h"
#include "cpx/nn/frozen_module.h"
#include "cpx/nn/linear.h"

namespace cpx::models {

/// The sizes that decide about time and memory, without a model.
nn::ModelShape model_shape(const formats::ModelConfig& config);

/// The look-up table of token embeddings; quantised rows are looked up in float32.
class EmbeddingImpl : public nn::FrozenModule {
 public:
  EmbeddingImpl(int64_t vocabulary_size, int64_t hidden_size);
  /// `ids` [T] int64 to [T, D].
  torch::Tensor forward(const torch::Tensor& ids);

  torch::Tensor weight;         // [V, D]
  kernels::BlockWeight blocks;  // in place of `weight` where it is quantised
};
TORCH_MODULE(Embedding);

/// Everything below the head: keys "model.*".
class DecoderImpl : public torch::nn::Module {
 public:
  explicit DecoderImpl(const formats::ModelConfig& config);
  /// [T] ids to [T, D], after the last norm.
  torch::Tensor forward(const torch::Tensor& ids, const nn::ForwardContext& context);

  Embedding embed_tokens{nullptr};
  torch::nn::ModuleList layers;
  nn::RmsNorm norm{nullptr};
};
TORCH_MODULE(Decoder);

/// A causal language model of the LLaMA or Mistral kind. With tied embeddings the head is a linear
/// layer of its own whose weight is the embedding's tensor, so that an adapter on lm_head acts on
/// the logits alone. Quantised weights are for cached_states() and logits() by row; what else meets
/// one throws std::invalid_argument.
class Llama : public torch::nn::Module, public nn::CausalLm {
 public:
  explicit Llama(const formats::ModelConfig& config);

  torch::Tensor hidden_states(const nn::PackedTokens& tokens,
                              const nn::ForwardOptions& options) override;
  torch::Tensor cached_states(const torch::Tensor& ids, const nn::CachePass& pass) override;
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const nn::ForwardOptions& options) override;
  kernels::NllAndEntropy token_nll_and_entropy(const torch::Tensor& hidden,
                                               const torch::Tensor& targets) override;
  torch::Tensor logits(const torch::Tensor& hidden, const nn::ForwardOptions& options) override;
  std::vector<nn::NamedParameter> trainable() const override;
  const nn::ModelShape& shape() const override { return shape_; }
  torch::Device device() const override { return model->norm->weight.device(); }
  torch::Dtype dtype() const override { return model->norm->weight.scalar_type(); }

  const formats::ModelConfig& config() const { return config_; }
  /// True where any weight is quantised: prompts are taken by row then.
  bool is_quantized() const;

  Decoder model{nullptr};
  nn::Linear lm_head{nullptr};  // [V, D]

 private:
  torch::Tensor states(const nn::PackedTokens& tokens, const nn::ForwardOptions& options,
                       const nn::CachePass* pass, const kernels::RowNumbers& row_numbers = {});

  formats::ModelConfig config_;
  nn::ModelShape shape_;
  torch::Tensor frequencies_;  // [E/2]
};

}  // namespace cpx::models
