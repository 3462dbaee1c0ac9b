// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps of DPO and SimPO equal those of plain PyTorch with transformers and PEFT,
// made by scripts/fixtures/make_preference_training.py.
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/training/preference_step.h"
#include "record_steps.h"
#include "tests/support/names.h"
#include "trajectory.h"

namespace cpx::training {
namespace preference_trajectory_test {

using objectives::DpoOptions;

PreferenceObjective objective_of(const nlohmann::json& settings) {
  if (settings["name"] == "simpo") {
    return simpo_objective({.beta = settings["beta"],
                            .gamma_beta_ratio = settings["gamma_beta_ratio"],
                            .sft_weight = settings["sft_weight"]});
  }
  return dpo_objective(
      {.loss = settings["loss"] == "ipo" ? DpoOptions::Loss::kIpo : DpoOptions::Loss::kSigmoid,
       .beta = settings["beta"],
       .label_smoothing = settings["label_smoothing"]});
}

std::string text_of(const nlohmann::json& ids) {
  return number_text(ids.get<std::vector<int64_t>>());
}

// The pairs of all steps in their order; an answer's first number is another one in each.
std::vector<data::PreferenceItem> items_of(const Fixture& fixture) {
  std::vector<data::PreferenceItem> items;
  for (const auto& step : fixture.json["steps"]) {
    for (const auto& pair : step["pairs"]) {
      data::PreferenceItem item{.prompt = text_of(pair["prompt"])};
      for (const auto& answer : pair["answers"]) {
        (item.chosen.empty() ? item.chosen : item.rejected).push_back(" " + text_of(answer));
      }
      items.push_back(std::move(item));
    }
  }
  return items;
}

struct Way {
  bool shares_prompts;
  int64_t pairs_per_micro_batch;
};

template <class Check>
void for_each_way(const std::string& variant, Check&& check) {
  const Fixture fixture(variant);
  const auto items = items_of(fixture);
  const data::PairEncoder encoder(number_encoder(), /*max_prompt_tokens=*/0);
  for (const Way way : {Way{true, 2}, Way{false, 2}, Way{true, 1}}) {
    SCOPED_TRACE(fmt::format("{}: prompts {}, {} pairs a micro batch", variant,
                             way.shares_prompts ? "shared" : "apart", way.pairs_per_micro_batch));
    PreferenceStep step(pair_data(items, {}, encoder,
                                  {.pairs = {.rejected_per_chosen = 0, .shuffle = false},
                                   .pairs_per_micro_batch = way.pairs_per_micro_batch,
                                   .shares_prompts = way.shares_prompts}),
                        objective_of(fixture.json["objective"]));
    check(fixture, step, 2 / way.pairs_per_micro_batch);
  }
}

class PreferenceTrajectory : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Variants, PreferenceTrajectory,
                         testing::Values("dpo_sigmoid", "dpo_ipo", "dpo_several", "simpo_sft"),
                         testing_support::by_value);

TEST_P(PreferenceTrajectory, EqualsPyTorch) { for_each_way(GetParam(), expect_trajectory); }

TEST_P(PreferenceTrajectory, FirstGradientEqualsPyTorch) {
  for_each_way(GetParam(), expect_first_gradient);
}

}  // namespace preference_trajectory_test
}  // namespace cpx::training
