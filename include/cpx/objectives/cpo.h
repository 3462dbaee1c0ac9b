// SPDX-License-Identifier: Apache-2.0
// Contrastive preference optimization: dpo with a uniform reference, and the chosen answer learned
// beside it. Formulas: docs/objectives.md.
// Source: Xu et al., "Contrastive Preference Optimization", arXiv 2401.08417, eq. 3 and 5; as TRL
// 1.16.0, CPOTrainer.cpo_loss.
#pragma once

#include <array>
#include <string_view>

#include "cpx/objectives/preference.h"

namespace cpx::objectives {

/// The options of cpo(); the defaults are TRL's.
struct CpoOptions {
  /// Of the margin of log-probabilities x: kSigmoid: -log sigmoid(beta x). kHinge:
  /// max(0, 1 - beta x). kIpo: (margin of mean log-probabilities - 1 / (2 beta))^2.
  enum class Loss { kSigmoid, kHinge, kIpo };

  Loss loss = Loss::kSigmoid;
  double beta = 0.1;             // positive
  double label_smoothing = 0.0;  // in [0, 0.5); only for kSigmoid
  double cpo_alpha = 1.0;        // weight of the chosen answers' mean token NLL

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("loss", loss, "sigmoid (published), hinge, or ipo (by mean log-probabilities)");
    visit.field("beta", beta, "Scale of the log-probabilities", {.above = 0});
    visit.field("label_smoothing", label_smoothing,
                "How often a preference is taken to be the wrong way round (sigmoid)",
                {.at_least = 0, .below = 0.5});
    visit.field("cpo_alpha", cpo_alpha,
                "Weight of the chosen answers' mean negative log-likelihood (published: 1)",
                {.at_least = 0});
  }
};

constexpr std::array<std::string_view, 3> enum_names(CpoOptions::Loss) {
  return {"sigmoid", "hinge", "ipo"};
}

/// As dpo() without a reference; each preference has one rejected answer. The cpo_alpha term is
/// divided by `step.positive_tokens`, the chosen answers' tokens of the step.
ObjectiveResult cpo(const PreferenceBatch& batch, const CpoOptions& options,
                    const StepCounts& step);

}  // namespace cpx::objectives
