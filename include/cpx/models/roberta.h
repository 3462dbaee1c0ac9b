// SPDX-License-Identifier: Apache-2.0
// RoBERTa as a classifier of texts; submodule names are the Hugging Face keys.
// Source: Liu et al., "RoBERTa", arXiv 1907.11692; follows transformers 5.23, modeling_roberta.py
// (RobertaForSequenceClassification).
// Legend: N texts, T tokens of all texts, D model, C labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "cpx/formats/roberta_config.h"
#include "cpx/models/llama.h"
#include "cpx/nn/encoder_block.h"
#include "cpx/nn/forward_context.h"
#include "cpx/nn/linear.h"
#include "cpx/nn/text_scorer.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::models {

/// LayerNorm of the sum of a token's word, type and position embeddings.
class RobertaEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit RobertaEmbeddingsImpl(const formats::RobertaConfig& config);
  /// Embeds packed texts, [T, D]. In each text positions start at the one after the padding token's
  /// id; a padding token that occurs in a text gets that id as its position and is not counted. All
  /// tokens are of type 0. Throws std::invalid_argument for a text that is empty or too long.
  torch::Tensor forward(const nn::PackedTokens& tokens);

  Embedding word_embeddings{nullptr};        // [V, D]
  Embedding position_embeddings{nullptr};    // [P, D]
  Embedding token_type_embeddings{nullptr};  // [types, D]
  nn::LayerNorm layer_norm{nullptr};         // "LayerNorm"

 private:
  torch::Tensor positions(const nn::PackedTokens& tokens) const;

  int64_t padding_id_;
};
TORCH_MODULE(RobertaEmbeddings);

/// The blocks: keys "encoder.layer.*".
class RobertaEncoderImpl : public torch::nn::Module {
 public:
  explicit RobertaEncoderImpl(const formats::RobertaConfig& config);
  /// `x` [T, D] to the states of each text's first token, [N, D]. The last block computes only
  /// those.
  torch::Tensor forward(torch::Tensor x, const std::vector<int32_t>& cu_seqlens);

  torch::nn::ModuleList layer;
};
TORCH_MODULE(RobertaEncoder);

/// Everything below the head: keys "roberta.*".
class RobertaBodyImpl : public torch::nn::Module {
 public:
  explicit RobertaBodyImpl(const formats::RobertaConfig& config);
  /// States of each text's first token, [N, D].
  torch::Tensor forward(const nn::PackedTokens& tokens);

  RobertaEmbeddings embeddings{nullptr};
  RobertaEncoder encoder{nullptr};
};
TORCH_MODULE(RobertaBody);

/// out_proj(tanh(dense(x))): keys "classifier.*".
class RobertaHeadImpl : public torch::nn::Module {
 public:
  explicit RobertaHeadImpl(const formats::RobertaConfig& config);
  /// `x` [N, D] to [N, C].
  torch::Tensor forward(const torch::Tensor& x);

  nn::Linear dense{nullptr};     // [D, D]
  nn::Linear out_proj{nullptr};  // [C, D]
};
TORCH_MODULE(RobertaHead);

/// A RobertaForSequenceClassification over packed texts, for inference.
class Roberta : public torch::nn::Module {
 public:
  explicit Roberta(const formats::RobertaConfig& config);

  /// Scores before softmax, [N, C], of texts that begin with `<s>`. No gradient.
  torch::Tensor logits(const nn::PackedTokens& tokens);

  const formats::RobertaConfig& config() const { return config_; }
  torch::Device device() const { return roberta->embeddings->word_embeddings->weight.device(); }

  RobertaBody roberta{nullptr};
  RobertaHead classifier{nullptr};

 private:
  formats::RobertaConfig config_;
};

/// A classifier with its tokenizer.
class RobertaScorer : public nn::TextScorer {
 public:
  /// Computes up to `batch_tokens` tokens at once; a longer text is computed alone.
  RobertaScorer(std::shared_ptr<Roberta> model,
                std::shared_ptr<const tokenizer::Tokenizer> tokenizer, int64_t batch_tokens);

  torch::Tensor logits(std::span<const std::string> texts) override;
  const std::vector<std::string>& labels() const override { return model_->config().labels; }
  LabelKind label_kind() const override { return model_->config().label_kind; }
  int64_t max_tokens() const override { return model_->config().max_tokens; }

  /// Token ids of `text` with <s> and </s>, cut between them to max_tokens(). Throws
  /// tokenizer::TokenBeyondModel.
  std::vector<tokenizer::TokenId> encode(const std::string& text) const;
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::shared_ptr<Roberta> model_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  int64_t batch_tokens_;
};

/// The classifier of a Hugging Face folder, with its weights in float32 on `device`. On the CPU,
/// weights that are stored in float32 stay in the mapped file. Throws DataError, which names file,
/// key or tensor, if the folder has another architecture, is incomplete or inconsistent.
std::shared_ptr<Roberta> load_roberta(const std::filesystem::path& folder,
                                      const torch::Device& device);

/// The classifier of a folder with its tokenizer; see RobertaScorer for `batch_tokens`.
std::shared_ptr<RobertaScorer> load_text_scorer(const std::filesystem::path& folder,
                                                const torch::Device& device,
                                                int64_t batch_tokens = 2048);

}  // namespace cpx::models
