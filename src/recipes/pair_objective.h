// SPDX-License-Identifier: Apache-2.0
// What the rooms of objectives on pairs have in common.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cpx/config/fields.h"
#include "cpx/objectives/preference.h"
#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

/// An objective on pairs of answers: `kLoss` is its function, `Options` the keys of its own, `Self`
/// the class that gives it name, doc and the checks of its keys.
template <class Self, class Options, auto kLoss>
class PairObjective : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override {
    return std::make_unique<Self>(static_cast<const Self&>(*this));
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
    if (reference_) reference_->visit_fields(visit);
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.prompts.check(config, faults);
    check_options(faults);
    if (reference_) reference_->check(faults);
  }

  std::optional<ReferenceKeys> reference() const override { return reference_; }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    const auto loss = [options = options_](const objectives::PreferenceBatch& batch,
                                           const objectives::StepCounts& step) {
      return kLoss(batch, options, step);
    };
    return preference_run_data(
        config, preferences_,
        {.name = std::string(name()), .loss = loss, .has_reference = reference_.has_value()});
  }

 protected:
  /// Adds the faults of the objective's own keys; most have one rejected answer and no more.
  virtual void check_options(ConfigFaults& faults) const {
    preferences_.check_single_rejected(name(), faults);
  }

  Options options_ = {};
  PreferenceKeys preferences_ = {};
  /// The keys of the frozen policy; none: the objective compares with no other.
  std::optional<ReferenceKeys> reference_ = std::nullopt;
};

}  // namespace cpx::recipes
