// SPDX-License-Identifier: Apache-2.0
#include "trajectory.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "tests/support/tensors.h"
#include "tiny_run.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

const fs::path kSource = CPX_SOURCE_DIR;

fs::path adapter_folder(const Fixture& fixture) {
  return kSource / fixture.json["adapter"].get<std::string>();
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

// As the peers' files call a parameter.
std::string file_key(const std::string& name) {
  return name.starts_with("v_head.") ? name : "base_model.model." + name;
}

// The published alpha of 100 makes a loss of some hundreds of which float32 cannot know 1e-5: an
// NLL of 8 or more has neighbours 1e-6 away. So the fixture says how far the loss moves where every
// token's NLL moves by one, the sum of |d loss / d nll_t|, and that times the distance of the
// largest NLL from the next float is what rounding each NLL once may do.
double loss_tolerance(const nlohmann::json& step) {
  if (!step.contains("sensitivity")) return 1e-5;
  const auto largest = step["largest_nll"].get<float>();
  const float spacing = std::nextafter(largest, std::numeric_limits<float>::infinity()) - largest;
  return step["sensitivity"].get<double>() * spacing;
}

}  // namespace

Fixture::Fixture(const std::string& variant) {
  const fs::path folder = kSource / "tests" / "fixtures" / "training";
  json = nlohmann::json::parse(read_text_file(folder / (variant + ".json")));
  tensors = formats::SafetensorsFile::open(folder / (variant + ".safetensors"));
}

std::shared_ptr<models::Llama> model_of(const Fixture& fixture) {
  auto model = models::load_model(kSource / fixture.json["model"].get<std::string>(),
                                  torch::kFloat32, torch::kCPU);
  models::attach_adapter(*model, formats::read_peft(adapter_folder(fixture)));
  return model;
}

void run_trainer(const Fixture& fixture, nn::CausalLm& model, StepTask& task,
                 const fs::path& output, int64_t accumulate) {
  const RunInfo info{.peft = formats::read_peft_config(adapter_folder(fixture))};
  Trainer(model, task, info, trainer_options(fixture, output, accumulate)).run();
}

void expect_equal_steps(const Fixture& fixture, const fs::path& run,
                        const std::vector<std::string>& figures) {
  const auto lines = repeatable_metrics(run);
  const auto& steps = fixture.json["steps"];
  ASSERT_EQ(lines.size(), steps.size());
  for (size_t step = 0; step < steps.size(); ++step) {
    const auto line = nlohmann::json::parse(lines[step]);
    const auto& expected = steps[step];
    const double norm = expected["grad_norm"];
    EXPECT_NEAR(line["grad_norm"].get<double>(), norm, 1e-4 * norm) << step;
    const bool has_contrast = expected.contains("contrast") && !expected["contrast"].is_null();
    EXPECT_EQ(line.contains("contrast"), has_contrast) << step;
    const char* compared = has_contrast ? "contrast" : "loss";
    EXPECT_NEAR(line[compared].get<double>(), expected[compared].get<double>(),
                loss_tolerance(expected))
        << step;
    for (const auto& figure : figures) {
      EXPECT_NEAR(line[figure].get<double>(), expected[figure].get<double>(), 1e-5)
          << figure << " of step " << step;
    }
  }
}

void expect_equal_changes(const Fixture& fixture, const std::vector<nn::NamedParameter>& trained) {
  const std::string last = fmt::format("adapter.{}.", fixture.json["steps"].size());
  for (const auto& parameter : trained) {
    const auto before = fixture.tensors->tensor("adapter.0." + file_key(parameter.name));
    const auto after = fixture.tensors->tensor(last + file_key(parameter.name));
    const double difference = (parameter.value.detach() - after).norm().item().toDouble();
    const double change = (after - before).norm().item().toDouble();
    EXPECT_GT(change, 0.0) << parameter.name;
    EXPECT_LE(difference, 1e-3 * change) << parameter.name;
  }
}

void expect_equal_gradients(const Fixture& fixture,
                            const std::vector<nn::NamedParameter>& trained) {
  for (const auto& parameter : trained) {
    const auto expected = fixture.tensors->tensor("grad.0." + file_key(parameter.name));
    EXPECT_TRUE(testing_support::is_close(parameter.value.grad(), expected)) << parameter.name;
  }
}

void expect_trajectory(const Fixture& fixture, StepTask& task, int64_t accumulate) {
  const auto model = model_of(fixture);
  const auto run = fresh_folder();
  run_trainer(fixture, *model, task, run, accumulate);
  expect_equal_steps(fixture, run);
  expect_equal_changes(fixture, model->trainable());
}

void expect_first_gradient(const Fixture& fixture, StepTask& task, int64_t accumulate) {
  const auto model = model_of(fixture);
  objectives::StepCounts counts;
  std::vector<std::unique_ptr<MicroBatch>> micro_batches;
  for (int64_t i = 0; i < accumulate; ++i) {
    micro_batches.push_back(task.prepare(*model, 0, i));
    counts += micro_batches.back()->info().counts;
  }
  for (const auto& micro_batch : micro_batches) micro_batch->forward_backward(*model, counts, {});
  expect_equal_gradients(fixture, model->trainable());
}

}  // namespace cpx::training
