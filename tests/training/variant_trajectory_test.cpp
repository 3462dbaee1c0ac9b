// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps of the prototype, transfer, cycle and sft objectives, two of them with
// retained texts beside them, equal those of plain PyTorch with transformers and PEFT, made by
// scripts/fixtures/make_variant_training.py.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/training/cycle_step.h"
#include "cpx/training/prototype_step.h"
#include "cpx/training/retain_step.h"
#include "cpx/training/sft_step.h"
#include "cpx/training/transfer_step.h"
#include "record_steps.h"
#include "tests/support/names.h"
#include "trajectory.h"

namespace cpx::training {
namespace variant_trajectory_test {

using Json = nlohmann::json;
using objectives::CycleOptions;
using objectives::PrototypeOptions;

std::string text_of(const Json& ids) { return number_text(ids.get<std::vector<int64_t>>()); }

// The records of all steps in their order.
std::vector<data::Record> records_of(const Fixture& fixture) {
  std::vector<data::Record> records;
  for (const auto& step : fixture.json["steps"]) {
    for (const auto& read : step["records"]) {
      data::Record record;
      record.input = text_of(read["input"]);
      for (const auto& ids : read["neutral"]) record.neutral.push_back(text_of(ids));
      for (const auto& ids : read["toxic"]) record.toxic.push_back(text_of(ids));
      records.push_back(std::move(record));
    }
  }
  return records;
}

GroupData data_of(const Fixture& fixture, std::span<const data::Record> records,
                  const data::TextEncoder& encoder, int64_t groups, bool with_input) {
  return group_data(records, {}, encoder,
                    {.groups = {.num_positives = fixture.count("num_positives"),
                                .num_hard_negatives = fixture.count("num_hard_negatives"),
                                .with_input = with_input,
                                .shuffle = false},
                     .groups_per_micro_batch = groups});
}

std::unique_ptr<StepTask> prototype_of(const Fixture& fixture,
                                       std::span<const data::Record> records,
                                       const data::TextEncoder& encoder, int64_t groups) {
  const PrototypeOptions options{.longest = fixture.json["objective"]["longest"] == "group"
                                                ? PrototypeOptions::Longest::kGroup
                                                : PrototypeOptions::Longest::kBatch};
  return prototype_step(data_of(fixture, records, encoder, groups, /*with_input=*/true), options);
}

std::unique_ptr<StepTask> transfer_of(const Fixture& fixture, std::span<const data::Record> records,
                                      const data::TextEncoder& encoder, int64_t groups) {
  return transfer_step(data_of(fixture, records, encoder, groups, /*with_input=*/true),
                       {.alpha = fixture.json["objective"]["alpha"]});
}

std::unique_ptr<StepTask> cycle_of(const Fixture& fixture, std::span<const data::Record> records,
                                   const data::TextEncoder& encoder, int64_t groups) {
  const Json& settings = fixture.json["objective"];
  using FineTuning = CycleStepOptions::FineTuning;
  const CycleStepOptions options{
      .fine_tuning = settings["fine_tuning"] == "pairs" ? FineTuning::kPairs : FineTuning::kTexts,
      .objective = {.alpha = settings["alpha"],
                    .label_smoothing = settings["label_smoothing"],
                    .centroid = settings["centroid"] == "group" ? CycleOptions::Centroid::kGroup
                                                                : CycleOptions::Centroid::kBatch}};
  return cycle_step(data_of(fixture, records, encoder, groups, /*with_input=*/false), options);
}

std::unique_ptr<StepTask> sft_of(const Fixture& fixture, std::span<const data::Record> records,
                                 const data::TextEncoder& encoder, int64_t groups) {
  return sft_step(group_data(records, {}, encoder,
                             {.groups = {.num_positives = fixture.count("num_positives"),
                                         .num_hard_negatives = 0,
                                         .shuffle = false},
                              .groups_per_micro_batch = groups}));
}

using MakeStep = std::unique_ptr<StepTask> (*)(const Fixture&, std::span<const data::Record>,
                                               const data::TextEncoder&, int64_t);
const std::map<std::string, MakeStep> kSteps = {
    {"prototype", prototype_of}, {"transfer", transfer_of}, {"cycle", cycle_of}, {"sft", sft_of}};

// The retained texts of all steps in their order.
std::vector<RetainedText> retained_of(const Fixture& fixture) {
  std::vector<RetainedText> texts;
  for (const auto& step : fixture.json["steps"]) {
    for (const auto& ids : step["retained"]) texts.push_back({text_of(ids), "fixture"});
  }
  return texts;
}

std::unique_ptr<StepTask> step_of(const Fixture& fixture, std::span<const data::Record> records,
                                  const data::TextEncoder& encoder, int64_t groups) {
  const Json& settings = fixture.json["objective"];
  auto step = kSteps.at(settings["name"])(fixture, records, encoder, groups);
  if (!settings.contains("retain")) return step;
  return std::make_unique<RetainedTask>(
      std::move(step), retained_of(fixture), encoder,
      RetainStepOptions{.weight = settings["retain"],
                        .texts_per_micro_batch = fixture.count("retain_texts") * groups / 2,
                        .shuffle = false});
}

// Where nothing is shared between groups, two micro batches of one group are the same step.
bool joins_groups(const Json& settings) {
  return settings.value("longest", "") == "batch" || settings.value("centroid", "") == "batch";
}

template <class Check>
void for_each_way(const std::string& variant, Check&& check) {
  const Fixture fixture(variant);
  const auto records = records_of(fixture);
  const auto encoder = word_encoder();
  for (const int64_t groups : {2, 1}) {
    if (groups == 1 && joins_groups(fixture.json["objective"])) continue;
    SCOPED_TRACE(fmt::format("{}: {} groups a micro batch", variant, groups));
    check(fixture, *step_of(fixture, records, encoder, groups), 2 / groups);
  }
}

class VariantTrajectory : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Variants, VariantTrajectory,
                         testing::Values("prototype_batch", "prototype_group", "transfer",
                                         "cycle_texts", "cycle_pairs", "transfer_published",
                                         "cycle_texts_published", "cycle_pairs_published", "sft",
                                         "retain_prototype", "retain_cycle"),
                         testing_support::by_value);

TEST_P(VariantTrajectory, EqualsPyTorch) { for_each_way(GetParam(), expect_trajectory); }

TEST_P(VariantTrajectory, FirstGradientEqualsPyTorch) {
  for_each_way(GetParam(), expect_first_gradient);
}

}  // namespace variant_trajectory_test
}  // namespace cpx::training
