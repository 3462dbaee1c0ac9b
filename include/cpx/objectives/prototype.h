// SPDX-License-Identifier: Apache-2.0
// Prototype: contrastive perplexity with the input sentence as the centre, on mean NLLs that are
// scaled by the texts' lengths. Formulas: docs/objectives.md.
// Source: train_llama2.py of SAP-samples/acl2025-contrastive-perplexity (b966ab1).
// N = predictions of a micro batch.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/core/text_role.h"
#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// One text of a group: its input, a positive or a hard negative.
struct PrototypeText {
  int64_t group = 0;  // 0 .. num_groups - 1
  TextRole role = TextRole::kPositive;
  TokenRange tokens = {};  // an empty text is an error
};

/// A micro batch. Texts may come in any order; nothing is kept of the spans.
struct PrototypeBatch {
  std::span<const PrototypeText> texts = {};
  int64_t num_groups = 0;
  std::span<const double> token_nll = {};  // [N] natural log
};

struct PrototypeOptions {
  /// Among which texts the longest is looked for whose length scales the others' mean NLLs.
  /// kBatch (published): those of the micro batch; kGroup: those of the text's group.
  enum class Longest { kBatch, kGroup };

  Longest longest = Longest::kBatch;
};

/// The groups' mean cross entropy over `step.groups`, with its gradient, which flows through the
/// input's NLL too. Each group has one input and a positive or more. A NLL that is not finite gives
/// a loss of NaN and never throws; anything else that does not fit is std::invalid_argument.
ObjectiveResult prototype(const PrototypeBatch& batch, const PrototypeOptions& options,
                          const StepCounts& step);

}  // namespace cpx::objectives
