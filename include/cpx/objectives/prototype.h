// SPDX-License-Identifier: Apache-2.0
// Prototype: contrastive perplexity with the input sentence as the centre, on mean NLLs that are
// scaled by the texts' lengths. Formulas: docs/objectives.md.
// Source: train_llama2.py of SAP-samples/acl2025-contrastive-perplexity (b966ab1).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/text_batch.h"

namespace cpx::objectives {

struct PrototypeOptions {
  /// Among which texts the longest is looked for whose length scales the others' mean NLLs.
  /// kBatch (published): those of the micro batch; kGroup: those of the text's group.
  enum class Longest { kBatch, kGroup };

  Longest longest = Longest::kBatch;

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("longest", longest,
                "Whose longest text the mean log-likelihoods are scaled by: the micro batch's "
                "(published) or the group's");
  }
};

constexpr std::array<std::string_view, 2> enum_names(PrototypeOptions::Longest) {
  return {"batch", "group"};
}

/// The groups' mean cross entropy over `step.groups`, with its gradient, which flows through the
/// input's NLL too. Each group has one input and a positive or more. A NLL that is not finite gives
/// a loss of NaN and never throws; anything else that does not fit is std::invalid_argument.
ObjectiveResult prototype(const TextBatch& batch, const PrototypeOptions& options,
                          const StepCounts& step);

}  // namespace cpx::objectives
