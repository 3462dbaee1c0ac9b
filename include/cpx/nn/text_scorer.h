// SPDX-License-Identifier: Apache-2.0
// What data making, evaluation and training (as a reward) see of a text classifier.
// Legend: N texts, C labels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include "cpx/core/label_kind.h"

namespace cpx::nn {

/// A classifier of whole texts.
class TextScorer {
 public:
  virtual ~TextScorer() = default;

  /// Scores before softmax, float32 [N, C] on the CPU, a row a text in the order of `texts` (UTF-8;
  /// a text may be empty). Longer texts than max_tokens() are cut. No gradient. Which texts go
  /// together changes a score by rounding at most. One call at a time.
  virtual torch::Tensor logits(std::span<const std::string> texts) = 0;

  /// Names of the labels by index, C.
  virtual const std::vector<std::string>& labels() const = 0;
  virtual LabelKind label_kind() const = 0;
  /// Tokens of a text that are read, with those that the tokenizer adds.
  virtual int64_t max_tokens() const = 0;
};

/// Index of the label that is called, or counted from 0 is, `name_or_index`. Throws ConfigError
/// that lists the labels and names the nearest.
int64_t label_index(const TextScorer& scorer, std::string_view name_or_index);

/// Probabilities of the labels, float64 [N, C], of `logits` [N, C]: softmax over all labels, or
/// sigmoid of each where they are independent. Throws ConfigError for a scorer of values, which has
/// none.
torch::Tensor label_probabilities(const TextScorer& scorer, const torch::Tensor& logits);

}  // namespace cpx::nn
