// SPDX-License-Identifier: Apache-2.0
// Negative preference optimization.
#include "cpx/objectives/npo.h"

#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

namespace {

class Npo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Npo>(*this); }

  std::string_view name() const override { return "npo"; }
  std::string_view doc() const override {
    return "Negative preference optimization: toxic texts become less probable than a frozen "
           "reference has them, by a push that fades (Zhang et al., arXiv 2404.05868)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
    reference_.visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.check(config, faults);
    preferences_.check_single_rejected(name(), faults);
    reference_.check(faults);
  }

  std::optional<ReferenceKeys> reference() const override { return reference_; }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [options = options_](const objectives::PreferenceBatch& batch,
                                           const objectives::StepCounts& step) {
      return objectives::npo(batch, options, step);
    };
    return preference_run_data(config, preferences_,
                               {.name = "npo", .loss = loss, .has_reference = true});
  }

 private:
  objectives::NpoOptions options_;
  PreferenceKeys preferences_;
  ReferenceKeys reference_ = {.cache_reference = true};
};

}  // namespace

std::unique_ptr<Objective> make_npo() { return std::make_unique<Npo>(); }

}  // namespace cpx::recipes
