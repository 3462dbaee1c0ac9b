// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps equal those of plain PyTorch with transformers and PEFT:
// tests/fixtures/training, made by scripts/fixtures/make_training.py.
#include <filesystem>
#include <memory>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/formats/peft.h"
#include "cpx/formats/safetensors.h"
#include "cpx/models/load.h"
#include "cpx/training/contrast_step.h"
#include "cpx/training/trainer.h"
#include "tiny_run.h"

namespace cpx::training {
namespace {

namespace fs = std::filesystem;
using objectives::ContrastiveOptions;

const fs::path kSource = CPX_SOURCE_DIR;
constexpr int64_t kNumSteps = 3;
constexpr int64_t kNumGroups = 2;  // a step

// A variant's description and tensors.
struct Fixture {
  nlohmann::json json;
  std::shared_ptr<const formats::SafetensorsFile> tensors;

  explicit Fixture(const std::string& variant) {
    const fs::path folder = kSource / "tests" / "fixtures" / "training";
    json = nlohmann::json::parse(read_text_file(folder / (variant + ".json")));
    tensors = formats::SafetensorsFile::open(folder / (variant + ".safetensors"));
  }

  int64_t setting(const char* name) const { return json["objective"][name]; }
};

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
          .groups = {.num_positives = fixture.setting("num_positives"),
                     .num_hard_negatives = fixture.setting("num_hard_negatives"),
                     .num_random_negatives = fixture.setting("num_random_negatives"),
                     .shuffle = false},
          .groups_per_micro_batch = groups,
          .objective = objective_options(fixture.json["objective"])};
      while (!draws_donors(records, options.groups)) ++options.groups.seed;
      steps_.push_back(std::make_unique<ContrastStep>(records, std::span<const data::Record>(),
                                                      encoder_, options));
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
  std::vector<std::unique_ptr<ContrastStep>> steps_;
};

fs::path adapter_folder(const Fixture& fixture) {
  return kSource / fixture.json["adapter"].get<std::string>();
}

std::shared_ptr<models::Llama> load(const Fixture& fixture) {
  auto model = models::load_model(kSource / fixture.json["model"].get<std::string>(),
                                  torch::kFloat32, torch::kCPU);
  models::attach_adapter(*model, formats::read_peft(adapter_folder(fixture)));
  return model;
}

TrainerOptions trainer_options(const Fixture& fixture, const fs::path& output, int64_t accumulate) {
  const auto& optimizer = fixture.json["optimizer"];
  return {.output = output,
          .epochs = 1,
          .accumulate = accumulate,
          .learning_rate = optimizer["lr"],
          .adamw = {.beta1 = optimizer["betas"][0],
                    .beta2 = optimizer["betas"][1],
                    .epsilon = optimizer["eps"],
                    .weight_decay = optimizer["weight_decay"]},
          .max_grad_norm = optimizer["max_grad_norm"],
          .checkpoint_every = 0,
          .log_every = 0,
          .tensorboard = false};
}

std::string peft_key(const std::string& name) { return "base_model.model." + name; }

// ||change_a - change_b|| <= 1e-3 ||change_b|| for each tensor.
void expect_equal_change(const Fixture& fixture, const models::Llama& model) {
  for (const auto& parameter : model.trainable()) {
    const auto before = fixture.tensors->tensor("adapter.0." + peft_key(parameter.name));
    const auto after = fixture.tensors->tensor("adapter.3." + peft_key(parameter.name));
    const double difference = (parameter.value.detach() - after).norm().item().toDouble();
    const double change = (after - before).norm().item().toDouble();
    EXPECT_GT(change, 0.0) << parameter.name;
    EXPECT_LE(difference, 1e-3 * change) << parameter.name;
  }
}

void expect_trajectory(const std::string& variant, int64_t groups, int64_t accumulate) {
  const Fixture fixture(variant);
  const auto model = load(fixture);
  FixtureTask task(fixture, groups, accumulate);
  const auto run = fresh_folder();
  const RunInfo info{.peft = formats::read_peft_config(adapter_folder(fixture))};
  Trainer(*model, task, info, trainer_options(fixture, run, accumulate)).run();

  const auto lines = repeatable_metrics(run);
  ASSERT_EQ(lines.size(), kNumSteps);
  for (size_t step = 0; step < kNumSteps; ++step) {
    const auto line = nlohmann::json::parse(lines[step]);
    const auto& expected = fixture.json["steps"][step];
    const double norm = expected["grad_norm"];
    EXPECT_NEAR(line["grad_norm"].get<double>(), norm, 1e-4 * norm) << step;
    if (expected["contrast"].is_null()) {
      EXPECT_FALSE(line.contains("contrast")) << step;
      EXPECT_NEAR(line["loss"].get<double>(), expected["loss"].get<double>(), 1e-5) << step;
    } else {
      EXPECT_NEAR(line["contrast"].get<double>(), expected["contrast"].get<double>(), 1e-5) << step;
    }
  }
  expect_equal_change(fixture, *model);
}

// max|a - b| <= 1e-5 max|b| for each tensor of the adapter, before clipping.
void expect_first_gradient(const std::string& variant, int64_t groups, int64_t accumulate) {
  const Fixture fixture(variant);
  const auto model = load(fixture);
  FixtureTask task(fixture, groups, accumulate);
  objectives::StepCounts counts;
  std::vector<std::unique_ptr<MicroBatch>> micro_batches;
  for (int64_t i = 0; i < accumulate; ++i) {
    micro_batches.push_back(task.prepare(*model, 0, i));
    const auto& own = micro_batches.back()->info().counts;
    counts.groups += own.groups;
    counts.positive_texts += own.positive_texts;
    counts.positive_tokens += own.positive_tokens;
  }
  for (const auto& micro_batch : micro_batches) micro_batch->forward_backward(*model, counts, {});
  for (const auto& parameter : model->trainable()) {
    const auto expected = fixture.tensors->tensor("grad.0." + peft_key(parameter.name));
    const double difference = (parameter.value.grad() - expected).abs().max().item().toDouble();
    EXPECT_LE(difference, 1e-5 * expected.abs().max().item().toDouble()) << parameter.name;
  }
}

TEST(Trajectory, PublishedEqualsPyTorch) { expect_trajectory("published", 2, 1); }
TEST(Trajectory, SignedBaseHoldEqualsPyTorch) { expect_trajectory("signed_base_hold", 2, 1); }
TEST(Trajectory, RandomNegativesEqualPyTorch) { expect_trajectory("random_negatives", 2, 1); }
TEST(Trajectory, PublishedPaddingEqualsPyTorch) { expect_trajectory("published_padding", 2, 1); }
TEST(Trajectory, TwoMicroBatchesOfOneGroupEqualPyTorch) { expect_trajectory("accumulate", 1, 2); }
TEST(Trajectory, OneMicroBatchOfTwoGroupsEqualsTheSame) { expect_trajectory("accumulate", 2, 1); }

TEST(Trajectory, FirstGradientsEqualPyTorch) {
  for (const char* variant :
       {"published", "signed_base_hold", "random_negatives", "published_padding"}) {
    SCOPED_TRACE(variant);
    expect_first_gradient(variant, 2, 1);
  }
  SCOPED_TRACE("accumulate");
  expect_first_gradient("accumulate", 1, 2);
}

}  // namespace
}  // namespace cpx::training
