// SPDX-License-Identifier: Apache-2.0
// Preference objectives: a chosen answer against rejected ones, by the log-probabilities of their
// tokens, with a reference policy (DPO and its kin) or without (SimPO). Formulas and the source of
// each: docs/objectives.md. They follow TRL 1.16.0, DPOTrainer._compute_loss, and princeton-nlp/
// SimPO at 1b3e8f3, SimPOTrainer.simpo_loss.
// N = predictions of a micro batch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// One answer to a prompt.
struct Answer {
  /// The predictions of the answer's own tokens, without the prompt's; an empty one is an error.
  TokenRange tokens = {};
  /// Sum of the same tokens' NLL under the reference policy, natural log; `simpo` does not read it.
  double reference_nll = 0.0;
};

/// What is preferred to what, after one prompt.
struct Preference {
  Answer chosen = {};
  std::vector<Answer> rejected = {};  // one or more
};

/// A micro batch of preferences; nothing is kept of the spans.
struct PreferenceBatch {
  std::span<const Preference> preferences = {};
  std::span<const double> token_nll = {};  // [N] natural log
};

struct DpoOptions {
  /// With r the rewards and x their margin:
  /// kSigmoid: -log sigmoid(x); the only one that takes several rejected answers.
  /// kHinge: max(0, 1 - x). kIpo: (margin of mean log ratios - 1 / (2 beta))^2.
  /// kRobust: kSigmoid without the bias of labels that are flipped as often as `label_smoothing`.
  /// kExoPair: KL of (sigmoid(x), sigmoid(-x)) from (1 - e, e), e being `label_smoothing` > 0.
  /// kNcaPair: -log sigmoid(r_chosen) - (log sigmoid(-r_chosen) + log sigmoid(-r_rejected)) / 2.
  /// kSppoHard: (log ratio chosen - 1 / (2 beta))^2 + (log ratio rejected + 1 / (2 beta))^2.
  /// kApoZero: sigmoid(-r_chosen) + sigmoid(r_rejected).
  /// kApoDown: sigmoid(r_chosen) + sigmoid(-x).
  /// kDiscopop: (1 - m) * -log sigmoid(x) + m exp(-x), m = sigmoid(x / discopop_tau).
  /// kSigmoidNorm: kSigmoid of rewards over mean log ratios.
  enum class Loss {
    kSigmoid,
    kHinge,
    kIpo,
    kRobust,
    kExoPair,
    kNcaPair,
    kSppoHard,
    kApoZero,
    kApoDown,
    kDiscopop,
    kSigmoidNorm
  };

  Loss loss = Loss::kSigmoid;
  double beta = 0.1;  // positive; small values let the policy go far from the reference
  /// How often a label is taken to be flipped, in [0, 0.5); only where smooths() says so.
  double label_smoothing = 0.0;
  double discopop_tau = 0.05;  // positive
  double rpo_alpha = 0.0;      // weight of the chosen answers' mean token NLL

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("loss", loss,
                "sigmoid (published), hinge, ipo (by mean log-probabilities), robust: sigmoid "
                "unbiased by labels that are flipped as often as label_smoothing; or one of TRL's "
                "others (docs/objectives.md)");
    visit.field("beta", beta, "Smaller values let the policy go further from the reference",
                {.above = 0});
    visit.field("label_smoothing", label_smoothing,
                "How often a preference is taken to be the wrong way round (sigmoid, robust, "
                "exo_pair)",
                {.at_least = 0, .below = 0.5});
    visit.field("discopop_tau", discopop_tau, "Temperature of discopop's mixture", {.above = 0});
    visit.field("rpo_alpha", rpo_alpha,
                "Weight of the chosen answers' mean negative log-likelihood (TRL: loss_type sft "
                "with this loss_weights)",
                {.at_least = 0});
  }
};

constexpr std::array<std::string_view, 11> enum_names(DpoOptions::Loss) {
  return {"sigmoid",   "hinge",    "ipo",      "robust",   "exo_pair",    "nca_pair",
          "sppo_hard", "apo_zero", "apo_down", "discopop", "sigmoid_norm"};
}

/// True where the loss reads label_smoothing.
bool smooths(DpoOptions::Loss loss);
/// True where a preference may have several rejected answers.
bool takes_several_rejected(const DpoOptions& options);

/// Mean loss of the preferences over `step.pairs`, with its gradient. Rewards are
/// beta * (log-probability - that of the reference). The rpo_alpha term is divided by
/// `step.positive_tokens`, the chosen answers' tokens of the step. Chosen answers are under
/// `positives`, rejected ones under `hard_negatives`. A NLL that is not finite, the reference's
/// too, gives a loss of NaN and never throws; anything else that does not fit is
/// std::invalid_argument.
ObjectiveResult dpo(const PreferenceBatch& batch, const DpoOptions& options,
                    const StepCounts& step);

struct SimpoOptions {
  enum class Loss { kSigmoid, kHinge };

  Loss loss = Loss::kSigmoid;
  double beta = 2.0;               // positive; scales the mean log-probabilities
  double gamma_beta_ratio = 0.25;  // the margin that is asked for, over beta
  double label_smoothing = 0.0;    // in [0, 0.5); only for kSigmoid
  double sft_weight = 0.0;         // weight of the chosen answers' mean token NLL

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("loss", loss, "sigmoid (published) or hinge");
    visit.field("beta", beta, "Scale of the mean log-probabilities", {.above = 0});
    visit.field("gamma_beta_ratio", gamma_beta_ratio,
                "Margin by which a chosen answer is to lead, over beta", {.at_least = 0});
    visit.field("label_smoothing", label_smoothing,
                "How often a preference is taken to be the wrong way round (sigmoid)",
                {.at_least = 0, .below = 0.5});
    visit.field("sft_weight", sft_weight,
                "Weight of the chosen answers' mean negative log-likelihood", {.at_least = 0});
  }
};

constexpr std::array<std::string_view, 2> enum_names(SimpoOptions::Loss) {
  return {"sigmoid", "hinge"};
}

/// As `dpo` without a reference; each preference has one rejected answer. Rewards are
/// beta * mean log-probability of an answer's tokens. The sft term is divided by
/// `step.positive_tokens`, the chosen answers' tokens of the step.
ObjectiveResult simpo(const PreferenceBatch& batch, const SimpoOptions& options,
                      const StepCounts& step);

}  // namespace cpx::objectives
