// SPDX-License-Identifier: Apache-2.0
// Loads classifiers and sentence encoders from Hugging Face folders.
// Legend: N texts, T tokens of all texts, C labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/nn/forward_context.h"
#include "cpx/nn/sentence_encoder.h"
#include "cpx/nn/text_scorer.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::models {

class TextPacker;

/// How many tokens classifiers and sentence encoders compute at once if not told otherwise.
inline constexpr int64_t kBatchTokens = 2048;

/// A classifier over packed texts, without its tokenizer.
struct PackClassifier {
  /// Scores before softmax, [N, C]. No gradient.
  std::function<torch::Tensor(const nn::PackedTokens&)> logits;
  std::vector<std::string> labels = {};
  LabelKind label_kind = LabelKind::kOneOf;
};

/// A classifier with its tokenizer.
class ModelScorer : public nn::TextScorer {
 public:
  ModelScorer(PackClassifier classifier, std::unique_ptr<const TextPacker> packer);
  ~ModelScorer() override;

  torch::Tensor logits(std::span<const std::string> texts) override;
  const std::vector<std::string>& labels() const override { return classifier_.labels; }
  LabelKind label_kind() const override { return classifier_.label_kind; }
  int64_t max_tokens() const override;

  /// Token ids of `text` with the special tokens around it, cut between them to max_tokens().
  /// Throws tokenizer::TokenBeyondModel.
  std::vector<tokenizer::TokenId> encode(const std::string& text) const;
  const tokenizer::Tokenizer& tokenizer() const;

 private:
  PackClassifier classifier_;
  std::unique_ptr<const TextPacker> packer_;
};

/// The classifier of a Hugging Face folder, or of a name in its cache, with its weights in float32
/// on `device`: BERT, DistilBERT, RoBERTa, XLM-RoBERTa, LLaMA or Mistral, by config.json. Up to
/// `batch_tokens` tokens are computed at once; a longer text is computed alone. On the CPU, weights
/// that are stored in float32 stay in the mapped file. Throws DataError, which names file, key or
/// tensor, if the folder has another architecture, is incomplete or inconsistent.
std::shared_ptr<ModelScorer> load_text_scorer(const std::filesystem::path& folder,
                                              const torch::Device& device,
                                              int64_t batch_tokens = kBatchTokens);

/// The sentence encoder of a folder of sentence-transformers (mean or first-token pooling), or the
/// mean over the tokens of any BERT, DistilBERT, RoBERTa or XLM-RoBERTa, also of a classifier's
/// body. Vectors are scaled to length 1 in any case. Otherwise as load_text_scorer().
std::shared_ptr<nn::SentenceEncoder> load_sentence_encoder(const std::filesystem::path& folder,
                                                           const torch::Device& device,
                                                           int64_t batch_tokens = kBatchTokens);

}  // namespace cpx::models
