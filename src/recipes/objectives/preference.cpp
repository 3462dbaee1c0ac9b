// SPDX-License-Identifier: Apache-2.0
// The preference objectives: dpo, against a frozen reference, and simpo, without one.
#include "cpx/objectives/preference.h"

#include "objective.h"
#include "preference_data.h"

namespace cpx::recipes {

namespace {

using objectives::DpoOptions;
using objectives::SimpoOptions;

class Dpo final : public Objective {
 public:
  std::unique_ptr<Objective> clone() const override { return std::make_unique<Dpo>(*this); }

  std::string_view name() const override { return "dpo"; }
  std::string_view doc() const override {
    return "Direct preference optimization: neutral texts are preferred to toxic ones, measured "
           "against a frozen reference (Rafailov et al., arXiv 2305.18290)";
  }

  void visit_fields(config::FieldVisitor& visit) override {
    options_.visit_fields(visit);
    preferences_.visit_fields(visit);
    visit.field("reference_adapter", reference_.reference_adapter,
                "A PEFT folder, or owner/name of the cache, that makes the reference; null: the "
                "adapter as it starts, which is the base model for a fresh one");
    visit.field("cache_reference", reference_.cache_reference,
                "Keeps the reference's log-probabilities on disk: later epochs and runs read them",
                {.free_on_resume = true});
    visit.field("reference_cache", reference_.reference_cache,
                "File of the cache, which several runs may share; null: reference_nll.bin in "
                "training.output",
                {.free_on_resume = true});
  }

  void check(const TrainConfig& config, ConfigFaults& faults) const override {
    preferences_.check(config, faults);
    const auto loss = config::enum_name(options_.loss);
    const int64_t rejected = preferences_.pairs.rejected_per_chosen;
    const bool smooths =
        options_.loss == DpoOptions::Loss::kSigmoid || options_.loss == DpoOptions::Loss::kRobust;
    if (options_.label_smoothing > 0 && !smooths) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss {}, expected 0: only sigmoid and robust smooth.",
                 options_.label_smoothing, loss);
    }
    if (options_.loss != DpoOptions::Loss::kSigmoid && rejected != 1) {
      faults.add("objective.rejected_per_chosen",
                 "got {} beside loss {}, expected 1: only sigmoid takes several rejected answers.",
                 rejected, loss);
    }
    if (options_.label_smoothing > 0 && rejected != 1) {
      faults.add("objective.rejected_per_chosen",
                 "got {} beside label_smoothing {}, expected 1: only sigmoid without smoothing "
                 "takes several rejected answers.",
                 rejected, options_.label_smoothing);
    }
    if (!reference_.cache_reference && reference_.reference_cache) {
      faults.add("objective.reference_cache",
                 "got '{}' beside cache_reference false, expected null.",
                 reference_.reference_cache->string());
    }
  }

  std::optional<ReferenceKeys> reference() const override { return reference_; }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    return preference_run_data(config, preferences_, training::dpo_objective(options_));
  }

 private:
  DpoOptions options_;
  PreferenceKeys preferences_;
  ReferenceKeys reference_ = {.cache_reference = true};
};

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
    if (options_.label_smoothing > 0 && options_.loss == SimpoOptions::Loss::kHinge) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss hinge, expected 0: only sigmoid smooths.",
                 options_.label_smoothing);
    }
    if (preferences_.pairs.rejected_per_chosen != 1) {
      faults.add("objective.rejected_per_chosen",
                 "got {}, expected 1: simpo has one rejected answer.",
                 preferences_.pairs.rejected_per_chosen);
    }
  }

  BatchSizes batch_bound(const TrainConfig& config) const override {
    return preferences_.batch_bound(config);
  }

  std::unique_ptr<RunData> make_data(const TrainConfig& config) const override {
    return preference_run_data(config, preferences_, training::simpo_objective(options_));
  }

 private:
  SimpoOptions options_;
  PreferenceKeys preferences_;
};

}  // namespace

std::unique_ptr<Objective> make_dpo() { return std::make_unique<Dpo>(); }

std::unique_ptr<Objective> make_simpo() { return std::make_unique<Simpo>(); }

}  // namespace cpx::recipes
