// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps equal those of plain PyTorch with transformers and PEFT:
// tests/fixtures/training, made by scripts/fixtures/make_training.py.
#include "trajectory.h"

#include <memory>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "record_steps.h"

namespace cpx::training {
namespace trajectory_test {

using objectives::ContrastiveOptions;

constexpr int64_t kNumGroups = 2;  // a step

ContrastiveOptions objective_options(const nlohmann::json& settings) {
  using Centroid = ContrastiveOptions::Centroid;
  const std::string centroid = settings["centroid"];
  return {.alpha = settings["alpha"],
          .beta = settings["beta"],
          .tau = settings["tau"],
          .label_smoothing = settings["label_smoothing"],
          .centroid = centroid == "batch"   ? Centroid::kBatch
                      : centroid == "group" ? Centroid::kGroup
                                            : Centroid::kBase,
          .distance = settings["distance"] == "signed" ? ContrastiveOptions::Distance::kSigned
                                                       : ContrastiveOptions::Distance::kAbsolute,
          .padding = settings["padding"] == "published" ? ContrastiveOptions::Padding::kPublished
                                                        : ContrastiveOptions::Padding::kExclude,
          .anchor = settings["anchor"],
          .hold = settings["hold"]};
}

// The records of one step: two groups, and before them a donor for each with its random negatives,
// which has the other group's target and too few texts to be a group itself.
std::vector<data::Record> step_records(const Fixture& fixture, int64_t step) {
  const std::string key = fmt::format("step.{}.", step);
  const auto ids = fixture.tensors->tensor(key + "ids").to(at::kLong);
  const auto ends = fixture.tensors->tensor(key + "cu_seqlens").to(at::kLong);
  const auto group = fixture.tensors->tensor(key + "group");
  const auto role = fixture.tensors->tensor(key + "role");
  std::vector<data::Record> records(2 * kNumGroups);
  for (int64_t i = 0; i < group.size(0); ++i) {
    const auto text = ids.slice(0, ends[i].item().toLong(), ends[i + 1].item().toLong());
    const auto content =
        number_text({text.const_data_ptr<int64_t>(), static_cast<size_t>(text.numel())});
    const auto of_group = static_cast<size_t>(group[i].item().toLong());
    switch (role[i].item().toLong()) {
      case 0:
        records[kNumGroups + of_group].neutral.push_back(content);
        break;
      case 1:
        records[kNumGroups + of_group].toxic.push_back(content);
        break;
      default:
        records[of_group].toxic.push_back(content);
    }
  }
  for (size_t i = 0; i < kNumGroups; ++i) {
    records[i].group = i == 0 ? "second" : "first";
    records[kNumGroups + i].group = i == 0 ? "first" : "second";
  }
  return records;
}

// True when every random negative comes from its group's donor.
bool draws_donors(const std::vector<data::Record>& records, const data::GroupOptions& options) {
  const data::ContrastGroups groups(records, options);
  for (const int64_t record : groups.usable_records()) {
    for (const data::DrawnText& text : groups.draw(record, 0).texts) {
      if (text.role == TextRole::kRandomNegative && text.record != record - kNumGroups) {
        return false;
      }
    }
  }
  return true;
}

// Steps that each have their own records: micro batch i of the run belongs to step i / accumulate.
class FixtureTask : public StepTask {
 public:
  FixtureTask(const Fixture& fixture, int64_t groups, int64_t accumulate)
      : encoder_(number_encoder()), accumulate_(accumulate) {
    for (int64_t step = 0; step < kNumSteps; ++step) {
      records_.push_back(step_records(fixture, step));
    }
    for (const auto& records : records_) {
      ContrastStepOptions options{
          .groups = {.num_positives = fixture.count("num_positives"),
                     .num_hard_negatives = fixture.count("num_hard_negatives"),
                     .num_random_negatives = fixture.count("num_random_negatives"),
                     .shuffle = false},
          .groups_per_micro_batch = groups,
          .objective = objective_options(fixture.json["objective"])};
      while (!draws_donors(records, options.groups)) ++options.groups.seed;
      steps_.push_back(contrast_step(records, {}, encoder_, options));
    }
  }

  std::string name() const override { return "contrastive_perplexity"; }
  int64_t num_micro_batches() const override { return kNumSteps * accumulate_; }
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override {
    return steps_[static_cast<size_t>(index / accumulate_)]->prepare(model, epoch,
                                                                     index % accumulate_);
  }
  bool has_evaluation() const override { return false; }
  EvaluationResult evaluate(nn::CausalLm& /*model*/) override { return {}; }

 private:
  data::TextEncoder encoder_;
  int64_t accumulate_;
  std::vector<std::vector<data::Record>> records_;
  std::vector<std::unique_ptr<GroupStep>> steps_;
};

void expect_steps(const std::string& variant, int64_t groups, int64_t accumulate) {
  const Fixture fixture(variant);
  FixtureTask task(fixture, groups, accumulate);
  expect_trajectory(fixture, task, accumulate);
}

void expect_gradient(const std::string& variant, int64_t groups, int64_t accumulate) {
  const Fixture fixture(variant);
  FixtureTask task(fixture, groups, accumulate);
  expect_first_gradient(fixture, task, accumulate);
}

TEST(Trajectory, PublishedEqualsPyTorch) { expect_steps("published", 2, 1); }
TEST(Trajectory, SignedBaseHoldEqualsPyTorch) { expect_steps("signed_base_hold", 2, 1); }
TEST(Trajectory, RandomNegativesEqualPyTorch) { expect_steps("random_negatives", 2, 1); }
TEST(Trajectory, PublishedPaddingEqualsPyTorch) { expect_steps("published_padding", 2, 1); }
TEST(Trajectory, TwoMicroBatchesOfOneGroupEqualPyTorch) { expect_steps("accumulate", 1, 2); }
TEST(Trajectory, OneMicroBatchOfTwoGroupsEqualsTheSame) { expect_steps("accumulate", 2, 1); }

TEST(Trajectory, FirstGradientsEqualPyTorch) {
  for (const char* variant :
       {"published", "signed_base_hold", "random_negatives", "published_padding"}) {
    SCOPED_TRACE(variant);
    expect_gradient(variant, 2, 1);
  }
  SCOPED_TRACE("accumulate");
  expect_gradient("accumulate", 1, 2);
}

}  // namespace trajectory_test
}  // namespace cpx::training
