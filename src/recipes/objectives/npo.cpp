// SPDX-License-Identifier: Apache-2.0
// Negative preference optimization.
#include "cpx/objectives/npo.h"

#include "pair_objective.h"

namespace cpx::recipes {

namespace {

class Npo final : public PairObjective<Npo, objectives::NpoOptions, objectives::npo> {
 public:
  Npo() { reference_ = ReferenceKeys{.cache_reference = true}; }

  std::string_view name() const override { return "npo"; }
  std::string_view doc() const override {
    return "Negative preference optimization: toxic texts become less probable than a frozen "
           "reference has them, by a push that fades (Zhang et al., arXiv 2404.05868)";
  }
};

}  // namespace

std::unique_ptr<Objective> make_npo() { return std::make_unique<Npo>(); }

}  // namespace cpx::recipes
