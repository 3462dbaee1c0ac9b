// SPDX-License-Identifier: Apache-2.0
// Kahneman-Tversky optimization: answers that are wanted or not, without pairs.
#include "cpx/objectives/kto.h"

#include "labelled_data.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

class Kto final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Kto>(*this); }

  std::string_view name() const override { return "kto"; }
  std::string_view doc() const override {
    return "Kahneman-Tversky optimization: neutral texts are wanted and toxic ones are not, each "
           "by itself, measured against a frozen reference (Ethayarajh et al., arXiv 2402.01306)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    answers_.visit_fields(visit);
    reference_.visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    answers_.prompts.check(config, faults);
    reference_.check(faults);
    if (config.training.groups < 2) {
      faults.add("training.groups",
                 "got {} answers in a micro batch, expected 2 or more: kto's KL term is taken on "
                 "each prompt with another one's answer.",
                 config.training.groups);
    }
    if (options_.desirable_weight == 0 && options_.undesirable_weight == 0) {
      faults.add("objective.desirable_weight",
                 "got 0 beside undesirable_weight 0, expected one > 0: nothing would be trained.");
    }
  }

  std::optional<ReferenceKeys> reference() const override { return reference_; }

  // The mismatched texts of the KL term are a pass of their own, which keeps nothing.
  BatchSizes batch_bound(const TrainConfig& config) const override {
    return recipes::batch_bound(config.training.groups, config.data.max_tokens);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    return labelled_run_data(config, answers_, options_);
  }

 private:
  objectives::KtoOptions options_;
  LabelledKeys answers_;
  ReferenceKeys reference_ = {.cache_reference = true};
};

}  // namespace

std::unique_ptr<Objective> make_kto() { return std::make_unique<Kto>(); }

}  // namespace cpx::recipes
