// SPDX-License-Identifier: Apache-2.0
// Odds ratio preference optimization.
#include "cpx/objectives/orpo.h"

#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

namespace {

class Orpo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Orpo>(*this); }

  std::string_view name() const override { return "orpo"; }
  std::string_view doc() const override {
    return "Odds ratio preference optimization: the neutral text is learned, and its odds are "
           "raised "
           "over the toxic one's, without a reference (Hong et al., arXiv 2403.07691)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.check(config, faults);
    preferences_.check_single_rejected(name(), faults);
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [options = options_](const objectives::PreferenceBatch& batch,
                                           const objectives::StepCounts& step) {
      return objectives::orpo(batch, options, step);
    };
    return preference_run_data(config, preferences_, {.name = "orpo", .loss = loss});
  }

 private:
  objectives::OrpoOptions options_;
  PreferenceKeys preferences_;
};

}  // namespace

std::unique_ptr<Objective> make_orpo() { return std::make_unique<Orpo>(); }

}  // namespace cpx::recipes
