// SPDX-License-Identifier: Apache-2.0
// What a response is worth: one figure of a text classifier.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/nn/text_scorer.h"

namespace cpx::training {

struct RewardOptions {
  /// kLogit: the score before softmax. kProbability: after it.
  enum class Output { kLogit, kProbability };

  std::string label = "0";  // the rewarded class, by name or index
  Output output = Output::kLogit;
  double scale = 1.0;  // factor on it; negative: the class is to be avoided

  /// Names the config keys of the fields (see config/fields.h).
  template <class Visitor>
  void visit_fields(Visitor& visit) {
    visit.field("label", label, "The rewarded label, by name or index (published: 0)");
    visit.field("output", output, "The label's logit (published) or its probability");
    visit.field("scale", scale, "Factor on it; negative: the label is to be avoided");
  }
};

constexpr std::array<std::string_view, 2> enum_names(RewardOptions::Output) {
  return {"logit", "probability"};
}

/// The rewarded class of a classifier.
class RewardModel {
 public:
  /// Throws ConfigError for a label that the scorer does not have, and for the probability of a
  /// scorer that gives values.
  RewardModel(std::shared_ptr<nn::TextScorer> scorer, const RewardOptions& options);

  /// A score a text, in their order; some may not be finite.
  std::vector<double> scores(std::span<const std::string> texts) const;

 private:
  std::shared_ptr<nn::TextScorer> scorer_;
  RewardOptions options_;
  int64_t label_;
};

/// Counts words of a list: label 0, "listed", is the number of the text's words that are in it,
/// label 1, "other", that of the others. A word is a run of letters, digits and bytes past ASCII;
/// ASCII letters are compared without case.
class WordListScorer : public nn::TextScorer {
 public:
  /// Throws ConfigError where there is no word, or one holds something else than a word.
  explicit WordListScorer(std::span<const std::string> words);

  torch::Tensor logits(std::span<const std::string> texts) override;
  const std::vector<std::string>& labels() const override { return labels_; }
  LabelKind label_kind() const override { return LabelKind::kValues; }
  int64_t max_tokens() const override;

 private:
  std::set<std::string, std::less<>> words_;
  std::vector<std::string> labels_ = {"listed", "other"};
};

}  // namespace cpx::training
