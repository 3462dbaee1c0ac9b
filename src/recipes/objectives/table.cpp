// SPDX-License-Identifier: Apache-2.0
// All objectives, in the order of the help.
#include "cpx/recipes/objective_choice.h"
#include "objective.h"

namespace cpx::recipes {

// Each makes the objective with its default keys; it stands in the file of its name.
std::unique_ptr<Objective> make_contrastive_perplexity();
std::unique_ptr<Objective> make_prototype();
std::unique_ptr<Objective> make_transfer();
std::unique_ptr<Objective> make_cycle();
std::unique_ptr<Objective> make_sft();
std::unique_ptr<Objective> make_dpo();
std::unique_ptr<Objective> make_simpo();
std::unique_ptr<Objective> make_orpo();
std::unique_ptr<Objective> make_cpo();
std::unique_ptr<Objective> make_npo();
std::unique_ptr<Objective> make_kto();
std::unique_ptr<Objective> make_ppo();

const ObjectiveTable& objective_table() {
  static const ObjectiveTable table = {
      make_contrastive_perplexity,
      make_prototype,
      make_transfer,
      make_cycle,
      make_sft,
      make_dpo,
      make_simpo,
      make_orpo,
      make_cpo,
      make_npo,
      make_kto,
      make_ppo,
  };
  return table;
}

}  // namespace cpx::recipes
