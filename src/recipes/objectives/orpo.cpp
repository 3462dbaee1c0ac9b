// SPDX-License-Identifier: Apache-2.0
// Odds ratio preference optimization.
#include "cpx/objectives/orpo.h"

#include "pair_objective.h"

namespace cpx::recipes {

namespace {

class Orpo final : public PairObjective<Orpo, objectives::OrpoOptions, objectives::orpo> {
 public:
  std::string_view name() const override { return "orpo"; }
  std::string_view doc() const override {
    return "Odds ratio preference optimization: the neutral text is learned, and its odds are "
           "raised over the toxic one's, without a reference (Hong et al., arXiv 2403.07691)";
  }
};

}  // namespace

std::unique_ptr<Objective> make_orpo() { return std::make_unique<Orpo>(); }

}  // namespace cpx::recipes
