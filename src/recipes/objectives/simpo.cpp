// SPDX-License-Identifier: Apache-2.0
// Simple preference optimization: by mean log-probabilities, without a reference.
#include "cpx/objectives/preference.h"
#include "pair_objective.h"

namespace cpx::recipes {

namespace {

class Simpo final : public PairObjective<Simpo, objectives::SimpoOptions, objectives::simpo> {
 public:
  std::string_view name() const override { return "simpo"; }
  std::string_view doc() const override {
    return "Simple preference optimization: as dpo by the mean log-probabilities of answers, "
           "without a reference (Meng et al., arXiv 2405.14734)";
  }

 private:
  void check_options(ConfigFaults& faults) const override {
    if (options_.label_smoothing > 0 && options_.loss == objectives::SimpoOptions::Loss::kHinge) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss hinge, expected 0: only sigmoid smooths.",
                 options_.label_smoothing);
    }
    preferences_.check_single_rejected(name(), faults);
  }
};

}  // namespace

std::unique_ptr<Objective> make_simpo() { return std::make_unique<Simpo>(); }

}  // namespace cpx::recipes
