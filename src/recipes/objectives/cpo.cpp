// SPDX-License-Identifier: Apache-2.0
// Contrastive preference optimization.
#include "cpx/objectives/cpo.h"

#include "pair_objective.h"

namespace cpx::recipes {

namespace {

class Cpo final : public PairObjective<Cpo, objectives::CpoOptions, objectives::cpo> {
 public:
  std::string_view name() const override { return "cpo"; }
  std::string_view doc() const override {
    return "Contrastive preference optimization: as dpo without a reference, beside the neutral "
           "texts' likelihood (Xu et al., arXiv 2401.08417)";
  }

 private:
  void check_options(ConfigFaults& faults) const override {
    if (options_.label_smoothing > 0 && options_.loss != objectives::CpoOptions::Loss::kSigmoid) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss {}, expected 0: only sigmoid smooths.",
                 options_.label_smoothing, config::enum_name(options_.loss));
    }
    preferences_.check_single_rejected(name(), faults);
  }
};

}  // namespace

std::unique_ptr<Objective> make_cpo() { return std::make_unique<Cpo>(); }

}  // namespace cpx::recipes
