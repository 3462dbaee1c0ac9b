// SPDX-License-Identifier: Apache-2.0
#include "trajectory.h"

#include <filesystem>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/training/trainer.h"
#include "tiny_run.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

const fs::path kSource = CPX_SOURCE_DIR;

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

}  // namespace

Fixture::Fixture(const std::string& variant) {
  const fs::path folder = kSource / "tests" / "fixtures" / "training";
  json = nlohmann::json::parse(read_text_file(folder / (variant + ".json")));
  tensors = formats::SafetensorsFile::open(folder / (variant + ".safetensors"));
}

void expect_trajectory(const Fixture& fixture, StepTask& task, int64_t accumulate) {
  const auto model = load(fixture);
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
    const bool has_contrast = expected.contains("contrast") && !expected["contrast"].is_null();
    EXPECT_EQ(line.contains("contrast"), has_contrast) << step;
    const char* compared = has_contrast ? "contrast" : "loss";
    EXPECT_NEAR(line[compared].get<double>(), expected[compared].get<double>(), 1e-5) << step;
  }
  expect_equal_change(fixture, *model);
}

void expect_first_gradient(const Fixture& fixture, StepTask& task, int64_t accumulate) {
  const auto model = load(fixture);
  objectives::StepCounts counts;
  std::vector<std::unique_ptr<MicroBatch>> micro_batches;
  for (int64_t i = 0; i < accumulate; ++i) {
    micro_batches.push_back(task.prepare(*model, 0, i));
    counts += micro_batches.back()->info().counts;
  }
  for (const auto& micro_batch : micro_batches) micro_batch->forward_backward(*model, counts, {});
  for (const auto& parameter : model->trainable()) {
    const auto expected = fixture.tensors->tensor("grad.0." + peft_key(parameter.name));
    const double difference = (parameter.value.grad() - expected).abs().max().item().toDouble();
    EXPECT_LE(difference, 1e-5 * expected.abs().max().item().toDouble()) << parameter.name;
  }
}

}  // namespace cpx::training
