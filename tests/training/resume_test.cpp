// SPDX-License-Identifier: Apache-2.0
// A run that goes on from a checkpoint equals the uninterrupted one, bit for bit.
#include <gmock/gmock.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/training/trainer.h"
#include "scripted_task.h"
#include "tiny_run.h"

namespace cpx::training {
namespace resume_test {

namespace fs = std::filesystem;

constexpr double kDropout = 0.3;

TrainerOptions options_for(const fs::path& run) {
  auto options = tiny_options(run);
  options.epochs = 3;
  options.adamw = {.weight_decay = 0.01, .lora_plus_ratio = 2.0};
  return options;
}

TrainingResult run_whole(const fs::path& run) {
  ScriptedTask task(5);
  TinyModel model(kDropout);
  return Trainer(model, task, tiny_info(), options_for(run)).run();
}

// Trains to `step`, then goes on in new objects as a new process would.
TrainingResult run_in_two_parts(const fs::path& run, int64_t step) {
  {
    ScriptedTask task(5);
    TinyModel model(kDropout);
    Trainer(model, task, tiny_info(), options_for(run)).run();
  }
  ScriptedTask task(5);
  TinyModel model(kDropout);
  Trainer trainer(model, task, tiny_info(), options_for(run));
  trainer.resume(run / "checkpoints" / fmt::format("step-{:06}", step));
  return trainer.run();
}

// Steps 3 and 6 end an epoch, the others lie in its middle; evaluation is every two steps.
TEST(Resume, EveryPositionGoesOnBitForBitWithDropout) {
  const auto folder = fresh_folder();
  const auto whole = run_whole(folder / "whole");
  for (int64_t step = 1; step <= 8; ++step) {
    const auto run = folder / fmt::format("from_{}", step);
    const auto resumed = run_in_two_parts(run, step);
    EXPECT_TRUE(adapter_values(run / "final").equal(adapter_values(folder / "whole" / "final")))
        << step;
    EXPECT_TRUE(adapter_values(run / "best").equal(adapter_values(folder / "whole" / "best")))
        << step;
    EXPECT_EQ(repeatable_metrics(run), repeatable_metrics(folder / "whole")) << step;
    EXPECT_EQ(resumed.state.best.value, whole.state.best.value) << step;
    EXPECT_EQ(resumed.state.best.step, whole.state.best.step) << step;
    EXPECT_EQ(resumed.state.best.evaluations_without_better,
              whole.state.best.evaluations_without_better)
        << step;
  }
}

TEST(Resume, DropoutTakesPartInTheComparison) {
  const auto folder = fresh_folder();
  run_whole(folder / "dropout");
  ScriptedTask task(5);
  TinyModel model;
  Trainer(model, task, tiny_info(), options_for(folder / "none")).run();
  EXPECT_FALSE(adapter_values(folder / "none" / "final")
                   .equal(adapter_values(folder / "dropout" / "final")));
}

// Evaluations at steps 0, 2, 4, ..., without a better one after step 2: patience 3 ends at step 8,
// whether or not the run was cut at step 5.
TEST(Resume, PatienceIsCarriedOver) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.epochs = 10;
  options.max_steps = 5;
  options.early_stopping_patience = 3;
  options.schedule = {};
  {
    ScriptedTask task(10);
    task.losses = {9, 1, 2, 2, 2, 2, 2, 2};
    TinyModel model;
    options.evaluate_every = 2;
    const auto first = Trainer(model, task, tiny_info(), options).run();
    // The end of the first part is evaluated too.
    EXPECT_EQ(first.state.best.evaluations_without_better, 2);
  }
  options.max_steps = 0;
  ScriptedTask task(10);
  task.losses = {2, 2, 2, 2};
  TinyModel model;
  Trainer trainer(model, task, tiny_info(), options);
  trainer.resume(run / "checkpoints" / "step-000005");
  const auto result = trainer.run();
  EXPECT_EQ(result.end, TrainingResult::End::kStoppedEarly);
  EXPECT_EQ(result.state.step, 6);
  EXPECT_EQ(result.state.best.step, 2);
}

TEST(Resume, SkippedStepsAreCarriedOver) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.accumulate = 1;
  options.epochs = 1;
  const auto spoil_first = [](ScriptedTask& task) { task.spoiled = {{0, 0}, {0, 1}}; };
  {
    ScriptedTask task(5);
    spoil_first(task);
    TinyModel model;
    options.max_steps = 1;
    Trainer(model, task, tiny_info(), options).run();
  }
  options.max_steps = 0;
  ScriptedTask task(5);
  spoil_first(task);
  TinyModel model;
  Trainer trainer(model, task, tiny_info(), options);
  trainer.resume(run / "checkpoints" / "step-000001");
  EXPECT_EQ(trainer.run().state.skipped_steps, 2);
}

TEST(Resume, SkippedStepsInARowAreCountedAcrossIt) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.accumulate = 1;
  options.epochs = 3;
  const auto spoil_ten = [](ScriptedTask& task) {
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      for (int64_t index = 0; index < 5; ++index) task.spoiled.insert({epoch, index});
    }
  };
  {
    ScriptedTask task(5);
    spoil_ten(task);
    TinyModel model;
    options.max_steps = 6;
    Trainer(model, task, tiny_info(), options).run();
  }
  options.max_steps = 0;
  ScriptedTask task(5);
  spoil_ten(task);
  TinyModel model;
  Trainer trainer(model, task, tiny_info(), options);
  trainer.resume(run / "checkpoints" / "step-000006");
  EXPECT_THROW(trainer.run(), DataError);
}

TEST(Resume, CheckpointsPastTheStepAreRemoved) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.checkpoint_every = 2;
  {
    ScriptedTask task(5);
    TinyModel model;
    Trainer(model, task, tiny_info(), options).run();
  }
  options.max_steps = 3;
  ScriptedTask task(5);
  TinyModel model;
  Trainer trainer(model, task, tiny_info(), options);
  trainer.resume(run / "checkpoints" / "step-000002");
  trainer.run();
  EXPECT_EQ(list_checkpoints(run).back().filename(), "step-000003");
}

}  // namespace resume_test
}  // namespace cpx::training
