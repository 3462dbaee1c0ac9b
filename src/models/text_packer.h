// SPDX-License-Identifier: Apache-2.0
// Texts on their way through a classifier or a sentence encoder: tokens, packs, and rows back in
// the order of the texts.
// Legend: N texts, S size of a row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/nn/forward_context.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::models {

struct TextPackerOptions {
  int64_t max_tokens = 0;    // of a text, special tokens included
  int64_t batch_tokens = 0;  // of a pack; a longer text is a pack of its own
  torch::Device device = torch::kCPU;
};

/// Cuts and packs texts for one model.
class TextPacker {
 public:
  TextPacker(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, TextPackerOptions options);

  /// Token ids of `text` with the special tokens around it, cut between them to max_tokens. Throws
  /// tokenizer::TokenBeyondModel.
  std::vector<tokenizer::TokenId> encode(const std::string& text) const;

  /// What `compute` makes of each text, float32 [N, S] on the CPU. `compute` gets packs of texts
  /// and returns a row for each.
  torch::Tensor rows(std::span<const std::string> texts, int64_t row_size,
                     const std::function<torch::Tensor(const nn::PackedTokens&)>& compute) const;

  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  const TextPackerOptions& options() const { return options_; }

 private:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  TextPackerOptions options_;
  size_t num_after_;  // special tokens behind a text
};

}  // namespace cpx::models
