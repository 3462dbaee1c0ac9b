// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps of KTO equal those of plain PyTorch with transformers and PEFT, made by
// scripts/fixtures/make_kto_training.py.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/training/kto_step.h"
#include "record_steps.h"
#include "tests/support/names.h"
#include "trajectory.h"

namespace cpx::training {
namespace kto_trajectory_test {

std::string text_of(const nlohmann::json& ids) {
  return number_text(ids.get<std::vector<int64_t>>());
}

// The answers of all steps in their order.
std::vector<data::PreferenceItem> items_of(const Fixture& fixture) {
  std::vector<data::PreferenceItem> items;
  for (const auto& step : fixture.json["steps"]) {
    for (const auto& answer : step["answers"]) {
      data::PreferenceItem item{.prompt = text_of(answer["prompt"])};
      (answer["label"] ? item.chosen : item.rejected).push_back(" " + text_of(answer["answer"]));
      items.push_back(std::move(item));
    }
  }
  return items;
}

template <class Check>
void check_variant(const std::string& variant, Check&& check) {
  const Fixture fixture(variant);
  const auto items = items_of(fixture);
  const data::PairEncoder encoder(number_encoder(), /*max_prompt_tokens=*/0);
  const auto& settings = fixture.json["objective"];
  const int64_t accumulate = fixture.count("micro_batches");
  const int64_t num_answers = fixture.json["answers"];
  KtoStep step({.train = std::make_shared<data::LabelledAnswers>(
                    items, data::LabelledOptions{.shuffle = false}),
                .encoder = encoder,
                .answers_per_micro_batch = num_answers / accumulate},
               {.beta = settings["beta"],
                .desirable_weight = settings["desirable_weight"],
                .undesirable_weight = settings["undesirable_weight"]});
  check(fixture, step, accumulate);
}

class KtoTrajectory : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Variants, KtoTrajectory, testing::Values("kto", "kto_micro"),
                         testing_support::by_value);

TEST_P(KtoTrajectory, EqualsPyTorch) { check_variant(GetParam(), expect_trajectory); }

TEST_P(KtoTrajectory, FirstGradientEqualsPyTorch) {
  check_variant(GetParam(), expect_first_gradient);
}

}  // namespace kto_trajectory_test
}  // namespace cpx::training
