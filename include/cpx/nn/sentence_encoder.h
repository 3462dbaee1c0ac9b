// SPDX-License-Identifier: Apache-2.0
// The interface of a sentence encoder: texts to vectors, to compare their meanings.
// Legend: N texts, D size of a vector.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <torch/types.h>

namespace cpx::nn {

/// An encoder of whole texts.
class SentenceEncoder {
 public:
  virtual ~SentenceEncoder() = default;

  /// Vectors of length 1, float32 [N, D] on the CPU, one row for each of `texts` (UTF-8; may be
  /// empty). The dot product of two rows is the cosine similarity of their texts. Texts longer than
  /// max_tokens() are cut. No gradient. Other texts in the call change a vector by rounding errors
  /// at most. Calls must not overlap.
  virtual torch::Tensor embed(std::span<const std::string> texts) = 0;

  /// D.
  virtual int64_t size() const = 0;
  /// How many tokens of a text are read, counting those that the tokenizer adds.
  virtual int64_t max_tokens() const = 0;
};

}  // namespace cpx::nn
