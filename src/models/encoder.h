// SPDX-License-Identifier: Apache-2.0
// The encoders of classifiers and sentence encoders: BERT, DistilBERT, RoBERTa and XLM-RoBERTa have
// one body. Submodule names are the Hugging Face keys of BERT; encoder_keys.h has the others.
// Sources: Devlin et al., "BERT", arXiv 1810.04805; Sanh et al., "DistilBERT", arXiv 1910.01108;
// Liu et al., "RoBERTa", arXiv 1907.11692; Conneau et al., "XLM-R", arXiv 1911.02116. Follows
// transformers 5.23, modeling_bert.py, modeling_distilbert.py and modeling_roberta.py
// (...ForSequenceClassification).
// Legend: N texts, T tokens of all texts, D model, P positions, V vocabulary, C labels.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/formats/encoder_config.h"
#include "cpx/models/llama.h"
#include "cpx/nn/encoder_block.h"
#include "cpx/nn/forward_context.h"
#include "cpx/nn/linear.h"

namespace cpx::models {

/// LayerNorm of the sum of a token's word, type (if the family has types) and position embeddings.
class EncoderEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit EncoderEmbeddingsImpl(const formats::EncoderConfig& config);
  /// Embeds packed texts, [T, D]. In each text positions begin at the config's first position. All
  /// tokens are of type 0. Throws std::invalid_argument for a text that is empty or too long.
  torch::Tensor forward(const nn::PackedTokens& tokens);

  Embedding word_embeddings{nullptr};        // [V, D]
  Embedding position_embeddings{nullptr};    // [P, D]
  Embedding token_type_embeddings{nullptr};  // [types, D], or null
  nn::LayerNorm layer_norm{nullptr};         // "LayerNorm"

 private:
  torch::Tensor positions(const nn::PackedTokens& tokens) const;

  int64_t first_position_;
  int64_t padding_id_;
};
TORCH_MODULE(EncoderEmbeddings);

/// The blocks: keys "layer.*".
class EncoderLayersImpl : public torch::nn::Module {
 public:
  explicit EncoderLayersImpl(const formats::EncoderConfig& config);
  /// `x` [T, D] to the states of all tokens, [T, D], or of each text's first token, [N, D]. The
  /// last block computes only the rows that are asked for.
  torch::Tensor forward(torch::Tensor x, const std::vector<int32_t>& cu_seqlens,
                        nn::BlockRows rows);

  torch::nn::ModuleList layer;
};
TORCH_MODULE(EncoderLayers);

/// output(activation(dense(x))): the head of all four families.
class EncoderHeadImpl : public torch::nn::Module {
 public:
  EncoderHeadImpl(const formats::EncoderConfig& config, int64_t num_labels);
  /// `x` [N, D] to [N, C].
  torch::Tensor forward(const torch::Tensor& x);

  nn::Linear dense{nullptr};   // [D, D]
  nn::Linear output{nullptr};  // [C, D]

 private:
  bool has_relu_;  // DistilBERT's activation; that of the others is tanh
};
TORCH_MODULE(EncoderHead);

/// An encoder over packed texts, for inference, with or without a classifier's head.
class Encoder : public torch::nn::Module {
 public:
  /// Without `num_labels` there is no head.
  Encoder(const formats::EncoderConfig& config, std::optional<int64_t> num_labels);

  /// States of all tokens, [T, D], or of each text's first token, [N, D]. No gradient.
  torch::Tensor states(const nn::PackedTokens& tokens, nn::BlockRows rows);
  /// Scores before softmax, [N, C], of texts that begin with the tokenizer's first special token.
  /// No gradient.
  torch::Tensor logits(const nn::PackedTokens& tokens);

  const formats::EncoderConfig& config() const { return config_; }

  EncoderEmbeddings embeddings{nullptr};
  EncoderLayers encoder{nullptr};
  EncoderHead head{nullptr};  // null without labels

 private:
  formats::EncoderConfig config_;
};

}  // namespace cpx::models
