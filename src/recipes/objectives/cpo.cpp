// SPDX-License-Identifier: Apache-2.0
// Contrastive preference optimization.
#include "cpx/objectives/cpo.h"

#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

namespace {

class Cpo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Cpo>(*this); }

  std::string_view name() const override { return "cpo"; }
  std::string_view doc() const override {
    return "Contrastive preference optimization: as dpo without a reference, beside the neutral "
           "texts' likelihood (Xu et al., arXiv 2401.08417)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.check(config, faults);
    if (options_.label_smoothing > 0 && options_.loss != objectives::CpoOptions::Loss::kSigmoid) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss {}, expected 0: only sigmoid smooths.",
                 options_.label_smoothing, config::enum_name(options_.loss));
    }
    preferences_.check_single_rejected(name(), faults);
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [options = options_](const objectives::PreferenceBatch& batch,
                                           const objectives::StepCounts& step) {
      return objectives::cpo(batch, options, step);
    };
    return preference_run_data(config, preferences_, {.name = "cpo", .loss = loss});
  }

 private:
  objectives::CpoOptions options_;
  PreferenceKeys preferences_;
};

}  // namespace

std::unique_ptr<Objective> make_cpo() { return std::make_unique<Cpo>(); }

}  // namespace cpx::recipes
