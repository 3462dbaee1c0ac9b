// SPDX-License-Identifier: Apache-2.0
// Contrastive perplexity: texts whose mean NLL lies near that of the neutral texts score high, and
// the cross entropy takes the score away from the toxic ones. Beside it, a bounded push that asks
// the frozen base how far each toxic text has moved. Formulas: docs/objectives.md.
// Source: Klein and Nabi, "Contrastive Perplexity for Controlled Generation", ACL 2025,
// arXiv 2401.08491; as in train_mistral.py of SAP-samples/acl2025-contrastive-perplexity (618ee4b).
// N = predictions of a micro batch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/objectives/objective_result.h"

namespace cpx::objectives {

/// One text of a micro batch: where its predictions lie and which part it plays.
struct ContrastText {
  int64_t group = 0;  // 0 .. num_groups - 1
  TextRole role = TextRole::kPositive;
  /// Its own predictions are token_nll[first, first + count); an empty text is an error.
  int64_t first = 0;
  int64_t count = 0;
  /// Pads in front of the text; only read under `Padding::kPublished`.
  int64_t num_pads = 0;
  /// Index of nll(first token | eos); only read where pads count and num_pads > 0.
  int64_t pad_prediction = -1;
  /// Of a negative, under `PushTokens::kDiffering`: the indices in token_nll that its mean is of,
  /// among its own. Empty: all of them.
  std::vector<int64_t> differing = {};
};

/// A micro batch. Texts may come in any order; nothing is kept of the spans.
struct ContrastBatch {
  std::span<const ContrastText> texts = {};
  int64_t num_groups = 0;
  std::span<const double> token_nll = {};  // [N] natural log
  /// [N] of the frozen base; may be empty unless ContrastiveOptions::needs_base(). The values of
  /// negatives are only read under `Push::kNpo`.
  std::span<const double> base_token_nll = {};
  /// Index of nll(eos | eos), shared by all pads; only read where a text has two pads or more.
  int64_t pad_repeat_prediction = -1;
  /// Length of every text with its pads, a token more than it predicts; only read where pads count.
  int64_t padded_length = 0;
};

/// The options of the objective; the defaults are the published ones but for `padding`.
struct ContrastiveOptions {
  /// What a text's mean NLL is compared with. kBatch (published): the mean over the positives of
  /// the micro batch. kGroup: of the text's group. kBase: for a positive its own mean under the
  /// frozen base, for a negative its group's mean of those; then no gradient flows through it.
  enum class Centroid { kBatch, kGroup, kBase };
  /// kAbsolute (published): |m - c|. kSigned: m - c for negatives, so that a negative's score
  /// falls only as it becomes less probable.
  enum class Distance { kAbsolute, kSigned };
  /// kPublished: pads count in a text's mean NLL.
  enum class Padding { kExclude, kPublished };
  /// kCode: the cross entropy of the published code. kPaper: -log J as the paper is summarised, J
  /// being the positives' part of the scores exp(-d / tau) of a group, negatives weighted.
  enum class Form { kCode, kPaper };
  /// What texts are compared by: their mean NLL, or its exponential.
  enum class Phi { kMeanNll, kPerplexity };
  /// What moves the negatives. kScore: the cross entropy of the scores, or -log J. kNpo: a push of
  /// each negative against its own mean under the frozen base, which fades past `push_aim`; there
  /// are no scores then, and positives are moved by `anchor` and `hold` alone.
  enum class Push { kScore, kNpo };
  /// Which tokens a negative's mean NLL is of: all, or those that no positive of its group has.
  enum class PushTokens { kAll, kDiffering };
  /// What `hold` keeps of the positives' tokens: their NLL, by its squared distance from the
  /// base's, or the whole next-token distribution, by KL(base || policy). The second is no function
  /// of token NLLs: contrastive_perplexity() leaves it to its caller (training::held_loss).
  enum class HoldBy { kNll, kKl };

  Form form = Form::kCode;

  double alpha = 100.0;          // logit margin on hard negatives
  double beta = 1.0;             // weight of the cross entropy
  double tau = 1.0;              // temperature of the scores, positive
  double label_smoothing = 0.0;  // in [0, 1]
  Centroid centroid = Centroid::kBatch;
  Distance distance = Distance::kAbsolute;
  Padding padding = Padding::kExclude;
  double negative_weight = 1.0;  // kPaper: of negatives in the denominator of J, positive
  Phi phi = Phi::kMeanNll;
  Push push = Push::kScore;
  double push_aim = 1.5;  // kNpo: nats a token above the base, not negative
  PushTokens push_tokens = PushTokens::kAll;
  double anchor = 0.0;  // weight of the positives' mean NLL
  double hold = 0.0;    // weight of the positives' mean distance from the base, token by token
  HoldBy hold_by = HoldBy::kNll;

  /// True where the objective reads the NLLs of the frozen base.
  bool needs_base() const {
    return centroid == Centroid::kBase || holds_nll() || needs_base_of_negatives();
  }
  bool holds_nll() const { return hold != 0.0 && hold_by == HoldBy::kNll; }
  bool holds_distributions() const { return hold != 0.0 && hold_by == HoldBy::kKl; }
  /// True where that of the negatives is among them.
  bool needs_base_of_negatives() const { return push == Push::kNpo; }

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("form", form,
                "code: the cross entropy of the published code; paper: -log of the positives' part "
                "of all scores, as the paper is summarised (docs/objectives.md)");
    visit.field("alpha", alpha, "Margin added to the logits of hard negatives (form code)",
                {.at_least = 0});
    visit.field("beta", beta, "Weight of the contrastive term", {.at_least = 0});
    visit.field("tau", tau,
                "Divides the scores, in the paper's form the distances: smaller is sharper",
                {.above = 0});
    visit.field("negative_weight", negative_weight,
                "Weight of negatives in the denominator of form paper, its alpha (1.0, 1.1)",
                {.above = 0});
    visit.field("phi", phi,
                "What texts are compared by: mean_nll (published), or perplexity, its exponential");
    visit.field("label_smoothing", label_smoothing, "Share of the label spread over all texts",
                {.at_least = 0, .below = 1});
    visit.field(
        "padding", padding,
        "exclude: own tokens only; published: the pad tokens in front count in a text's mean");
    visit.field(
        "centroid", centroid,
        "What texts are compared with: the positives' mean of the micro batch (published), of "
        "the group, or under the frozen base");
    visit.field("distance", distance,
                "absolute (published); signed: a negative's score falls only as it becomes less "
                "probable than the centroid");
    visit.field("push", push,
                "score: toxic texts are moved by the scores (published); npo: each by a push "
                "against the frozen base, which fades once the text is push_aim above it");
    visit.field("push_aim", push_aim,
                "By how many nats a token a toxic text is to leave the base (push npo)",
                {.at_least = 0});
    visit.field("push_tokens", push_tokens,
                "Pushed tokens of toxic texts: all (published), or those that no neutral text has");
    visit.field("anchor", anchor,
                "Weight of the positives' mean negative log-likelihood (published: 0)",
                {.at_least = 0});
    visit.field("hold", hold,
                "Weight of the positives' distance from the base, token by token: keeps neutral "
                "text as it is (published: 0)",
                {.at_least = 0});
    visit.field("hold_by", hold_by,
                "That distance: nll, squared, of the tokens' log-likelihoods; kl, of the whole "
                "next-token distribution, at the cost of another pass of the base");
  }
};

/// What a config calls the values, in their order; those of the other enums below.
constexpr std::array<std::string_view, 3> enum_names(ContrastiveOptions::Centroid) {
  return {"batch", "group", "base"};
}
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::Distance) {
  return {"absolute", "signed"};
}
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::Form) {
  return {"code", "paper"};
}
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::Phi) {
  return {"mean_nll", "perplexity"};
}
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::Push) {
  return {"score", "npo"};
}
/// Those of what is held.
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::HoldBy) {
  return {"nll", "kl"};
}
/// Those of the tokens that are pushed.
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::PushTokens) {
  return {"all", "differing"};
}
constexpr std::array<std::string_view, 2> enum_names(ContrastiveOptions::Padding) {
  return {"exclude", "published"};
}

/// Loss and gradient of a micro batch; each term is divided by its count in `step`.
/// A NLL that is not finite, the base's too, gives a loss of NaN and never throws; anything else
/// that does not fit (a group without positives, an empty text, a missing base) is
/// std::invalid_argument.
ObjectiveResult contrastive_perplexity(const ContrastBatch& batch,
                                       const ContrastiveOptions& options, const StepCounts& step);

}  // namespace cpx::objectives
