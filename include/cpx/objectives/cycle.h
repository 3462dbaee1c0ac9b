// SPDX-License-Identifier: Apache-2.0
// Cycle: supervised fine-tuning on instructions that lead from toxic to neutral and back, beside
// the contrast of the plain texts. Formulas and what is open in the source: docs/objectives.md.
// Source: train_mistral_cycle.py of SAP-samples/acl2025-contrastive-perplexity (ee41e50).
// N = predictions of a micro batch.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "cpx/core/text_role.h"
#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// The three means of supervised fine-tuning, each over its own texts.
enum class CycleTerm { kPairs, kPositives, kNegatives };

/// One text of a group; all its predicted tokens count, those of an instruction too.
struct CycleText {
  int64_t group = 0;       // 0 .. num_groups - 1
  TokenRange tokens = {};  // an empty text is an error
  /// Its side in the contrast, kPositive or kHardNegative; none: it takes no part.
  std::optional<TextRole> contrast = std::nullopt;
  /// The mean that it counts in; none: it is not trained on.
  std::optional<CycleTerm> term = std::nullopt;
};

/// A micro batch. Texts may come in any order; nothing is kept of the spans.
struct CycleBatch {
  std::span<const CycleText> texts = {};
  int64_t num_groups = 0;
  std::span<const double> token_nll = {};  // [N] natural log
};

struct CycleOptions {
  /// What a mean NLL is compared with. kBatch (published): the mean over the positives of the micro
  /// batch. kGroup: of the text's group.
  enum class Centroid { kBatch, kGroup };

  double alpha = 100.0;          // weight of the contrast
  double label_smoothing = 0.0;  // of the contrast, in [0, 1]
  Centroid centroid = Centroid::kBatch;

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("alpha", alpha, "Weight of the contrast", {.at_least = 0});
    visit.field("label_smoothing", label_smoothing,
                "Share of the contrast's label spread over all texts", {.at_least = 0, .below = 1});
    visit.field(
        "centroid", centroid,
        "What texts are compared with: the positives' mean of the micro batch (published) or "
        "of the group");
  }
};

constexpr std::array<std::string_view, 2> enum_names(CycleOptions::Centroid) {
  return {"batch", "group"};
}

/// The three means over `step.pairs`, `step.positive_texts` and `step.negative_texts` (the texts of
/// each term in the step; a mean without texts is 0) plus alpha times the contrast over
/// `step.groups`, with its gradient. Each group has a positive of the contrast or more. The texts
/// of the contrast are under `positives` and `hard_negatives`. A NLL that is not finite gives a
/// loss of NaN and never throws; anything else that does not fit is std::invalid_argument.
ObjectiveResult cycle(const CycleBatch& batch, const CycleOptions& options, const StepCounts& step);

}  // namespace cpx::objectives
