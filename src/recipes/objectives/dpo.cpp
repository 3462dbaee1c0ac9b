// SPDX-License-Identifier: Apache-2.0
// Direct preference optimization: against a frozen reference.
#include "cpx/objectives/preference.h"
#include "pair_objective.h"

namespace cpx::recipes {

namespace {

class Dpo final : public PairObjective<Dpo, objectives::DpoOptions, objectives::dpo> {
 public:
  Dpo() { reference_ = ReferenceKeys{.cache_reference = true}; }

  std::string_view name() const override { return "dpo"; }
  std::string_view doc() const override {
    return "Direct preference optimization: neutral texts are preferred to toxic ones, measured "
           "against a frozen reference (Rafailov et al., arXiv 2305.18290)";
  }

  void look_for_notices(const TrainConfig& /*config*/, ConfigNotices& notices) const override {
    notices.add_idle(options_.loss != Loss::kDiscopop, {"objective.discopop_tau"},
                     "only objective.loss discopop has it");
  }

 private:
  using Loss = objectives::DpoOptions::Loss;

  void check_options(ConfigFaults& faults) const override {
    const auto loss = config::enum_name(options_.loss);
    const int64_t rejected = preferences_.pairs.rejected_per_chosen;
    if (options_.label_smoothing > 0 && !objectives::smooths(options_.loss)) {
      faults.add("objective.label_smoothing",
                 "got {} beside loss {}, expected 0: only sigmoid, robust and exo_pair smooth.",
                 options_.label_smoothing, loss);
    }
    if (options_.loss == Loss::kExoPair && options_.label_smoothing == 0) {
      faults.add(
          "objective.label_smoothing",
          "got 0 beside loss exo_pair, expected more: it is the distance from certainty that "
          "the loss aims at (its paper has 0.001).");
    }
    if (options_.loss != Loss::kSigmoid && rejected != 1) {
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
  }
};

}  // namespace

std::unique_ptr<Objective> make_dpo() { return std::make_unique<Dpo>(); }

}  // namespace cpx::recipes
