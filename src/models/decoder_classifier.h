// SPDX-License-Identifier: Apache-2.0
// LLaMA and Mistral as classifiers of texts, such as reward models; submodule names are the Hugging
// Face keys.
// Source: transformers 5.23, modeling_layers.py (GenericForSequenceClassification).
// Legend: N texts, T tokens of all texts, D model, C labels.
#pragma once

#include <cstdint>
#include <memory>

#include <torch/types.h>

#include "cpx/formats/model_config.h"
#include "cpx/models/llama.h"
#include "cpx/nn/forward_context.h"
#include "cpx/nn/linear.h"

namespace cpx::models {

/// A linear layer on the last token of a text, for inference.
class DecoderClassifier : public torch::nn::Module {
 public:
  DecoderClassifier(const formats::ModelConfig& config, int64_t num_labels);

  /// Scores before softmax, [N, C]. A text's last token is the last one that is not the padding
  /// token. No gradient.
  torch::Tensor logits(const nn::PackedTokens& tokens);

  const formats::ModelConfig& config() const { return body_->config(); }

  Decoder model{nullptr};     // the decoder of the body
  nn::Linear score{nullptr};  // [C, D]

 private:
  std::shared_ptr<Llama> body_;  // without a head for words
};

}  // namespace cpx::models
