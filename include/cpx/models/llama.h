// SPDX-License-Identifier: Apache-2.0
// LLaMA and Mistral; submodule names are the Hugging Face keys.
// Legend: T tokens, N predictions, D model, E head size, V vocabulary.
#pragma once

#include <cstdint>
#include <functional>
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

/// The sizes that decide about time and memory, from the config alone.
nn::ModelShape model_shape(const formats::ModelConfig& config);

/// The look-up table of token embeddings. Rows of a quantised table come out in float32.
class EmbeddingImpl : public nn::FrozenModule {
 public:
  EmbeddingImpl(int64_t vocabulary_size, int64_t hidden_size);
  /// `ids` [T] int64 to [T, D].
  torch::Tensor forward(const torch::Tensor& ids);

  torch::Tensor weight;         // [V, D]
  kernels::BlockWeight blocks;  // replaces `weight` if the table is quantised
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

/// A causal language model of the LLaMA or Mistral kind. With tied embeddings the head is still a
/// linear layer, whose weight is the embedding's tensor, so that an adapter on lm_head changes the
/// logits alone. Quantised weights only work in decoding: prefill(), next_tokens(), try_tokens()
/// and logits() by row. Everything else throws std::invalid_argument for them.
class Llama : public torch::nn::Module, public nn::CausalLm {
 public:
  explicit Llama(const formats::ModelConfig& config);

  torch::Tensor hidden_states(const nn::PackedTokens& tokens,
                              const nn::ForwardOptions& options) override;
  std::shared_ptr<const nn::KeptBeginning> keep_beginning(
      const torch::Tensor& ids, const nn::ForwardOptions& options) override;
  torch::Tensor prefill(nn::KvCache& cache, const torch::Tensor& ids,
                        const std::vector<nn::PromptSlot>& prompts) override;
  torch::Tensor next_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                            const std::vector<int64_t>& sequences) override;
  torch::Tensor try_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                           const std::vector<nn::CandidateRow>& candidates) override;
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
  /// True if any weight is quantised; prefill() then computes every prompt row by row.
  bool is_quantized() const;

  Decoder model{nullptr};
  nn::Linear lm_head{nullptr};  // [V, D]

 private:
  // The final states [T, D] of a pack, or of a share of one with the given row numbers.
  torch::Tensor pack_states(const nn::PackedTokens& tokens, const nn::ForwardOptions& options,
                            const kernels::RowNumbers& row_numbers);
  // The final states [T, D] of `ids` [T]; fills in the rotary tables of `context`.
  torch::Tensor states(const torch::Tensor& ids, nn::ForwardContext context);
  // token_nll() for any number of rows.
  torch::Tensor head_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                         const nn::ForwardOptions& options);

  // How many rows the matrix products want behind `num_rows` (kernels::rounded_rows).
  int64_t num_added_rows(int64_t num_rows) const;
  // Calls compute(num_added_rows(num_rows)), which returns num_rows + that many rows, and cuts off
  // the added ones.
  torch::Tensor padded(int64_t num_rows,
                       const std::function<torch::Tensor(int64_t num_added)>& compute) const;

  formats::ModelConfig config_;
  nn::ModelShape shape_;
  torch::Tensor frequencies_;  // [E/2]
};

}  // namespace cpx::models
