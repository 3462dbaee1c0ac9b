// SPDX-License-Identifier: Apache-2.0
// Negative preference optimization: rejected answers become less probable than the reference has
// them, by a push that fades once they are. Formulas: docs/objectives.md.
// Source: Zhang et al., "Negative Preference Optimization: From Catastrophic Collapse to Effective
// Unlearning", COLM 2024, arXiv 2404.05868, eq. 3.
#pragma once

#include "cpx/objectives/preference.h"

namespace cpx::objectives {

/// The options of npo().
struct NpoOptions {
  double beta = 0.1;  // positive; to 0: gradient ascent on the rejected answers, without bound
  /// Weight of the chosen answers' mean token NLL (the paper's NPO+GD, whose retained texts they
  /// are here).
  double sft_weight = 0.0;

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("beta", beta,
                "How soon the push fades as an answer falls below the reference: larger is sooner",
                {.above = 0});
    visit.field("sft_weight", sft_weight,
                "Weight of the chosen answers' mean negative log-likelihood", {.at_least = 0});
  }
};

/// Mean over `step.pairs` of (2 / beta) log(1 + (p / p_reference)^beta), p being the rejected
/// answer's probability, with its gradient. Each preference has one rejected answer; of the chosen
/// one only the sft term is learned, which is divided by `step.positive_tokens`. Rewards are those
/// of dpo().
ObjectiveResult npo(const PreferenceBatch& batch, const NpoOptions& options,
                    const StepCounts& step);

}  // namespace cpx::objectives
