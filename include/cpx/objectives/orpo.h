// SPDX-License-Identifier: Apache-2.0
// Odds ratio preference optimization: the chosen answer is learned, and its odds are raised over
// those of the rejected one, without a reference. Formulas: docs/objectives.md.
// Source: Hong et al., "ORPO: Monolithic Preference Optimization without Reference Model", arXiv
// 2403.07691, eq. 4 to 7; as TRL 1.16.0, ORPOTrainer.odds_ratio_loss.
#pragma once

#include "cpx/objectives/preference.h"

namespace cpx::objectives {

/// The options of orpo(); the defaults are TRL's.
struct OrpoOptions {
  double beta = 0.1;  // positive; weight of the odds ratio, lambda in the paper

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("beta", beta, "Weight of the odds ratio beside the chosen answers' likelihood",
                {.above = 0});
  }
};

/// The chosen answers' NLL over `step.positive_tokens`, plus beta times the mean over `step.pairs`
/// of -log sigmoid(log odds of chosen - log odds of rejected), with its gradient. An answer's odds
/// are those of the exponential of its mean token log-probability. Each preference has one rejected
/// answer; references are not read. Rewards are beta * mean log-probability. See dpo() for what
/// throws and what is NaN.
ObjectiveResult orpo(const PreferenceBatch& batch, const OrpoOptions& options,
                     const StepCounts& step);

}  // namespace cpx::objectives
