// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps of the prototype, transfer and cycle objectives equal those of plain
// PyTorch with transformers and PEFT, made by scripts/fixtures/make_variant_training.py.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/training/cycle_step.h"
#include "cpx/training/prototype_step.h"
#include "cpx/training/transfer_step.h"
#include "tiny_run.h"
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

template <class Options>
Options with_counts(const Fixture& fixture, int64_t groups) {
  Options options;
  options.num_positives = fixture.count("num_positives");
  options.num_hard_negatives = fixture.count("num_hard_negatives");
  options.shuffle = false;
  options.groups_per_micro_batch = groups;
  return options;
}

std::unique_ptr<GroupStep> step_of(const Fixture& fixture, std::span<const data::Record> records,
                                   const data::TextEncoder& encoder, int64_t groups) {
  const Json& settings = fixture.json["objective"];
  if (settings["name"] == "prototype") {
    auto options = with_counts<PrototypeStepOptions>(fixture, groups);
    options.objective.longest = settings["longest"] == "group" ? PrototypeOptions::Longest::kGroup
                                                               : PrototypeOptions::Longest::kBatch;
    return prototype_step(records, {}, encoder, options);
  }
  if (settings["name"] == "transfer") {
    auto options = with_counts<TransferStepOptions>(fixture, groups);
    options.objective.alpha = settings["alpha"];
    return transfer_step(records, {}, encoder, options);
  }
  auto options = with_counts<CycleStepOptions>(fixture, groups);
  using FineTuning = CycleStepOptions::FineTuning;
  options.fine_tuning =
      settings["fine_tuning"] == "pairs" ? FineTuning::kPairs : FineTuning::kTexts;
  options.objective = {.alpha = settings["alpha"],
                       .label_smoothing = settings["label_smoothing"],
                       .centroid = settings["centroid"] == "group"
                                       ? CycleOptions::Centroid::kGroup
                                       : CycleOptions::Centroid::kBatch};
  return cycle_step(records, {}, encoder, options);
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
                                         "cycle_texts", "cycle_pairs"));

TEST_P(VariantTrajectory, EqualsPyTorch) { for_each_way(GetParam(), expect_trajectory); }

TEST_P(VariantTrajectory, FirstGradientEqualsPyTorch) {
  for_each_way(GetParam(), expect_first_gradient);
}

}  // namespace variant_trajectory_test
}  // namespace cpx::training
