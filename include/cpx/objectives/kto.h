// SPDX-License-Identifier: Apache-2.0
// Kahneman-Tversky optimization: answers that are each wanted or not, without pairs, measured
// against how far the policy has moved from the reference altogether. Formulas: docs/objectives.md.
// Source: Ethayarajh et al., "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv
// 2402.01306, eq. 7 and 8; as TRL 1.16.0, KTOTrainer._compute_loss.
// N = predictions of a micro batch.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/preference.h"

namespace cpx::objectives {

/// An answer with its label.
struct LabelledAnswer {
  Answer answer = {};
  bool is_desirable = true;
};

/// A micro batch of answers; nothing is kept of the spans.
struct LabelledBatch {
  std::span<const LabelledAnswer> answers = {};
  std::span<const double> token_nll = {};  // [N] natural log
  /// How far the policy is from the reference: the mean log ratio of mismatched prompts and
  /// answers, at least 0. No gradient flows through it.
  double kl = 0.0;
};

/// The options of kto(); the defaults are TRL's.
struct KtoOptions {
  double beta = 0.1;              // positive; small values let the policy go far from the reference
  double desirable_weight = 1.0;  // of the losses of desirable answers
  double undesirable_weight = 1.0;  // of those of undesirable ones

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("beta", beta, "Smaller values let the policy go further from the reference",
                {.above = 0});
    visit.field("desirable_weight", desirable_weight,
                "Weight of the neutral texts' losses; the two weights make up for unequal numbers",
                {.at_least = 0});
    visit.field("undesirable_weight", undesirable_weight, "Weight of the toxic texts' losses",
                {.at_least = 0});
  }
};

/// Mean over the step's answers (`step.positive_texts` + `step.negative_texts`) of
/// weight * (1 - sigmoid(beta (log ratio - kl))) for desirable answers, and of
/// weight * (1 - sigmoid(beta (kl - log ratio))) for undesirable ones, with its gradient. Desirable
/// answers are under `positives`, the others under `hard_negatives`. See dpo() for what throws and
/// what is NaN.
ObjectiveResult kto(const LabelledBatch& batch, const KtoOptions& options, const StepCounts& step);

}  // namespace cpx::objectives
