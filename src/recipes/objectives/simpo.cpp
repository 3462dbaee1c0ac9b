// SPDX-License-Identifier: Apache-2.0
// Simple preference optimization: by mean log-probabilities, without a reference.
#include "cpx/objectives/preference.h"
#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

namespace {

class Simpo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Simpo>(*this); }

  std::string_view name() const override { return "simpo"; }
  std::string_view doc() const override {
    return "Simple preference optimization: as dpo by the mean log-probabilities of answers, "
           "without a reference (Meng et al., arXiv 2405.14734)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.check(config, faults);
    if (options_.label_smoothing > 0 && options_.loss == objectives::SimpoOptions::Loss::kHinge) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss hinge, expected 0: only sigmoid smooths.",
                 options_.label_smoothing);
    }
    preferences_.check_single_rejected(name(), faults);
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [options = options_](const objectives::PreferenceBatch& batch,
                                           const objectives::StepCounts& step) {
      return objectives::simpo(batch, options, step);
    };
    return preference_run_data(config, preferences_, {.name = "simpo", .loss = loss});
  }

 private:
  objectives::SimpoOptions options_;
  PreferenceKeys preferences_;
};

}  // namespace

std::unique_ptr<Objective> make_simpo() { return std::make_unique<Simpo>(); }

}  // namespace cpx::recipes
