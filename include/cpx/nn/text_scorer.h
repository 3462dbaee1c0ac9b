// SPDX-License-Identifier: Apache-2.0
// The interface of a text classifier, for making data, for evaluation, and as a reward in training.
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

  /// Scores before softmax, float32 [N, C] on the CPU, one row for each of `texts` (UTF-8; may be
  /// empty). Texts longer than max_tokens() are cut. No gradient. Other texts in the call change a
  /// score by rounding errors at most. Calls must not overlap.
  virtual torch::Tensor logits(std::span<const std::string> texts) = 0;

  /// Names of the labels by index, C.
  virtual const std::vector<std::string>& labels() const = 0;
  virtual LabelKind label_kind() const = 0;
  /// How many tokens of a text are read, counting those that the tokenizer adds.
  virtual int64_t max_tokens() const = 0;
};

/// Index of a label, given by its name or by its number from 0. Throws ConfigError, which lists the
/// labels and suggests the nearest.
int64_t label_index(const TextScorer& scorer, std::string_view name_or_index);

/// Probabilities of the labels, float64 [N, C], from `logits` [N, C]: softmax over all labels, or a
/// sigmoid for each if they are independent. Throws ConfigError for a scorer that predicts values,
/// which has no probabilities.
torch::Tensor label_probabilities(const TextScorer& scorer, const torch::Tensor& logits);

}  // namespace cpx::nn
