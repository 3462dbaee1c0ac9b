// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/trainer.h"

#include <cmath>
#include <csignal>
#include <ctime>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/output_file.h"
#include "scripted_task.h"
#include "tests/support/errors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace trainer_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using Visits = std::vector<std::pair<int64_t, int64_t>>;
using testing_support::message_of;

std::vector<nlohmann::json> metrics_of(const fs::path& run) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : repeatable_metrics(run)) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

std::vector<int64_t> steps_with(const fs::path& run, const std::string& key) {
  std::vector<int64_t> steps;
  for (const auto& line : metrics_of(run)) {
    if (line.contains(key)) steps.push_back(line["step"]);
  }
  return steps;
}

std::vector<std::string> checkpoint_names(const fs::path& run) {
  std::vector<std::string> names;
  for (const auto& path : list_checkpoints(run)) names.push_back(path.filename().string());
  return names;
}

TEST(Trainer, StepsOfAnEpochAndARun) {
  EXPECT_EQ(steps_per_epoch(6, 2), 3);
  EXPECT_EQ(steps_per_epoch(7, 2), 4);
  EXPECT_EQ(total_steps(7, {.output = {}, .epochs = 3, .accumulate = 2}), 12);
  EXPECT_EQ(total_steps(7, {.output = {}, .epochs = 3, .max_steps = 5, .accumulate = 2}), 5);
  EXPECT_EQ(total_steps(7, {.output = {}, .epochs = 0, .max_steps = 50, .accumulate = 2}), 50);
}

TEST(Trainer, NeitherEpochsNorStepsIsRefused) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { total_steps(7, {.output = {}, .epochs = 0}); }),
            "[trainer] got epochs 0 and max_steps 0, expected one to be more than 0.");
}

// Five micro batches, two in a step: the third step of an epoch has one.
TEST(Trainer, NoOptimizerStepCrossesTheEndOfAnEpoch) {
  ScriptedTask task(5);
  TinyModel model;
  const auto run = fresh_folder();
  const auto result = Trainer(model, task, tiny_info(), tiny_options(run)).run();
  EXPECT_EQ(result.total_steps, 6);
  EXPECT_EQ(result.end, TrainingResult::End::kFinished);
  EXPECT_EQ(task.visited, (Visits{{0, 0},
                                  {0, 1},
                                  {0, 2},
                                  {0, 3},
                                  {0, 4},  //
                                  {1, 0},
                                  {1, 1},
                                  {1, 2},
                                  {1, 3},
                                  {1, 4}}));
  EXPECT_THAT(steps_with(run, "loss"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_DOUBLE_EQ(result.state.epoch, 2.0);
}

TEST(Trainer, CpuSecondsOfTheStepsArePartOfTheProcess) {
  ScriptedTask task(5);
  TinyModel model;
  const auto run = fresh_folder();
  const std::clock_t start = std::clock();
  Trainer(model, task, tiny_info(), tiny_options(run)).run();
  const double process_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::istringstream lines(read_text_file(run / "metrics.jsonl"));
  double steps_s = 0.0;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    if (!json.contains("cpu_seconds")) continue;
    EXPECT_GT(json["cpu_seconds"], 0.0) << line;
    steps_s += json["cpu_seconds"].get<double>();
  }
  EXPECT_GT(steps_s, 0.0);
  EXPECT_LE(steps_s, process_s + 1e-9);  // rounding of the sum
}

// Before the first step, every two steps, and after the last one.
TEST(Trainer, EvaluatesAtTheStartEveryNStepsAndAtTheEnd) {
  ScriptedTask task(5);
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.max_steps = 5;
  Trainer(model, task, tiny_info(), options).run();
  EXPECT_THAT(steps_with(run, "eval_loss"), ElementsAre(0, 2, 4, 5));
}

TEST(Trainer, TrainingLowersTheEvaluationLossOfItsOwnRecords) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(6);
  const auto task = contrast_step(records, records, encoder, tiny_step_options());
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.epochs = 10;
  Trainer(model, *task, tiny_info(), options).run();
  std::vector<double> contrast;
  for (const auto& line : metrics_of(run)) {
    if (line.contains("eval_contrast")) contrast.push_back(line["eval_contrast"]);
  }
  EXPECT_LT(contrast.back(), 0.9 * contrast.front());
}

TEST(Trainer, RunFolderHoldsAllItsParts) {
  ScriptedTask task(4);
  TinyModel model;
  const auto run = fresh_folder() / "deep" / "run";
  auto options = tiny_options(run);
  options.tensorboard = true;
  options.keep_last = 2;
  const auto result = Trainer(model, task, tiny_info(), options).run();
  EXPECT_EQ(result.folder, run / "final");
  for (const char* name : {"final", "best", "checkpoints/step-000004"}) {
    EXPECT_TRUE(fs::exists(run / name / "adapter_model.safetensors")) << name;
    EXPECT_THAT(read_text_file(run / name / "README.md"), HasSubstr("library_name: peft")) << name;
  }
  EXPECT_THAT(checkpoint_names(run), ElementsAre("step-000003", "step-000004"));
  EXPECT_FALSE(fs::is_empty(run / "tensorboard"));
  EXPECT_TRUE(
      adapter_values(run / "final").equal(adapter_values(run / "checkpoints" / "step-000004")));
}

// As after a kill between the last checkpoint and the removal of the old ones: no step is left.
TEST(Trainer, ResumeRemovesTheCheckpointsThatAreTooMany) {
  ScriptedTask task(4);
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  TinyModel model;
  Trainer(model, task, tiny_info(), options).run();
  ASSERT_THAT(checkpoint_names(run), SizeIs(4));

  options.keep_last = 2;
  TinyModel again;
  Trainer resumed(again, task, tiny_info(), options);
  resumed.resume(run / "checkpoints" / "step-000004");
  resumed.run();
  EXPECT_THAT(checkpoint_names(run), ElementsAre("step-000003", "step-000004"));
}

TEST(Trainer, CheckpointsOnlyEveryNStepsAndAtTheEnd) {
  ScriptedTask task(10);
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.epochs = 1;
  options.checkpoint_every = 3;
  Trainer(model, task, tiny_info(), options).run();
  EXPECT_THAT(checkpoint_names(run), ElementsAre("step-000003", "step-000005"));
}

// Losses of the evaluations at step 0, 2, 4, ...: the best is the one at step 4.
TEST(Trainer, BestIsTheAdapterOfTheBestEvaluation) {
  ScriptedTask task(10);
  task.losses = {1, 5, 4, 6, 7, 8};
  TinyModel model;
  const auto run = fresh_folder();
  const auto result = Trainer(model, task, tiny_info(), tiny_options(run)).run();
  EXPECT_EQ(result.state.best.step, 4);
  EXPECT_EQ(result.state.best.value, 4.0);
  EXPECT_TRUE(
      adapter_values(run / "best").equal(adapter_values(run / "checkpoints" / "step-000004")));
  EXPECT_FALSE(adapter_values(run / "best").equal(adapter_values(run / "final")));
}

TEST(Trainer, StopsWhenPatienceRunsOut) {
  ScriptedTask task(10);
  task.losses = {1, 5, 4, 6, 7, 8};
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.early_stopping_patience = 2;
  const auto result = Trainer(model, task, tiny_info(), options).run();
  EXPECT_EQ(result.end, TrainingResult::End::kStoppedEarly);
  EXPECT_EQ(result.state.step, 8);
  EXPECT_TRUE(fs::exists(run / "final"));
  EXPECT_TRUE(fs::exists(run / "checkpoints" / "step-000008"));

  TinyModel again;
  Trainer resumed(again, task, tiny_info(), options);
  resumed.resume(run / "checkpoints" / "step-000008");
  EXPECT_EQ(resumed.run().state.step, 8);
}

void expect_skipped(SpoiledMicroBatch::Kind kind) {
  ScriptedTask task(4);
  task.spoiled = {{0, 1}};
  task.spoil = kind;
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.epochs = 1;
  const auto result = Trainer(model, task, tiny_info(), options).run();
  EXPECT_EQ(result.state.skipped_steps, 1);
  EXPECT_EQ(result.state.consecutive_skipped_steps, 0);
  EXPECT_TRUE(adapter_values(run / "checkpoints" / "step-000001").equal([] {
    std::vector<torch::Tensor> values;
    for (const auto& parameter : TinyModel().trainable()) {
      values.push_back(parameter.value.detach().flatten());
    }
    return at::cat(values);
  }()));
  EXPECT_FALSE(
      adapter_values(run / "final").equal(adapter_values(run / "checkpoints" / "step-000001")));
  EXPECT_EQ(read_trainer_state(run / "checkpoints" / "step-000001").skipped_steps, 1);
  const auto lines = metrics_of(run);
  EXPECT_EQ(lines[1]["step"], 1);
  EXPECT_EQ(lines[1]["skipped_steps"], 1);
  EXPECT_TRUE(lines[1][kind == SpoiledMicroBatch::Kind::kLoss ? "loss" : "grad_norm"].is_null());
}

TEST(Trainer, LossThatIsNotFiniteSkipsTheWholeStep) {
  expect_skipped(SpoiledMicroBatch::Kind::kLoss);
}

TEST(Trainer, GradientNormThatIsNotFiniteSkipsTheWholeStep) {
  expect_skipped(SpoiledMicroBatch::Kind::kGradient);
}

TEST(Trainer, TenSkippedStepsInARowStopTheRunAndTellTheRecords) {
  ScriptedTask task(4);
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    for (int64_t i = 0; i < 4; ++i) task.spoiled.insert({epoch, i});
  }
  TinyModel model;
  auto options = tiny_options(fresh_folder());
  options.epochs = 20;
  options.accumulate = 1;
  try {
    Trainer(model, task, tiny_info(), options).run();
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("[training] step 10: 10 optimizer steps in a row were skipped: got loss "
                          "nan and gradient norm nan, expected finite numbers. The last one held "
                          "tiny.json: record"));
    EXPECT_THAT(error.what(), HasSubstr("Lower optimizer.lr, or look at these records."));
  }
}

TEST(Trainer, NineSkippedStepsInARowDoNotStopTheRun) {
  ScriptedTask task(10);
  for (int64_t i = 0; i < 9; ++i) task.spoiled.insert({0, i});
  TinyModel model;
  auto options = tiny_options(fresh_folder());
  options.epochs = 1;
  options.accumulate = 1;
  const auto result = Trainer(model, task, tiny_info(), options).run();
  EXPECT_EQ(result.state.skipped_steps, 9);
  EXPECT_EQ(result.state.consecutive_skipped_steps, 0);
}

// A signal between the two micro batches of step 3: the step is given up, two are done.
TEST(AdapterFault, IsMoreThanHalfOfTheStepsSkipped) {
  TrainerState state;
  EXPECT_EQ(adapter_fault(state, {}, std::nullopt), "");
  state.step = 6;
  state.skipped_steps = 3;
  EXPECT_EQ(adapter_fault(state, {}, 1.5), "");
  state.skipped_steps = 4;
  EXPECT_EQ(adapter_fault(state, {}, 1.5),
            "4 of 6 optimizer steps were skipped, expected at most half");
}

TEST(AdapterFault, IsANumberOfTheAdapterThatIsNotFinite) {
  TrainerState state;
  state.step = 6;
  std::vector<nn::NamedParameter> adapter = {{"a.lora_A.weight", at::ones({2, 2})},
                                             {"b.lora_A.weight", at::ones({2, 2})}};
  EXPECT_EQ(adapter_fault(state, adapter, std::nullopt), "");
  for (const double value : {std::nan(""), double{INFINITY}, -double{INFINITY}}) {
    adapter[1].value[1][0] = value;
    EXPECT_EQ(adapter_fault(state, adapter, std::nullopt),
              "'b.lora_A.weight' holds numbers that are not finite");
  }
}

TEST(AdapterFault, IsALastEvaluationThatIsNotFinite) {
  TrainerState state;
  state.step = 6;
  EXPECT_EQ(adapter_fault(state, {}, std::nan("")),
            "the last evaluation's loss is nan, expected a finite number");
  EXPECT_EQ(adapter_fault(state, {}, double{INFINITY}),
            "the last evaluation's loss is inf, expected a finite number");
}

TEST(Trainer, SignalStopsTheRunAfterACheckpoint) {
  install_interrupt_handlers();
  clear_interrupt();
  ScriptedTask task(10);
  task.on_prepare = [](int64_t epoch, int64_t index) {
    if (epoch == 0 && index == 5) std::raise(SIGTERM);
  };
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.checkpoint_every = 100;
  const auto result = Trainer(model, task, tiny_info(), options).run();
  clear_interrupt();
  EXPECT_EQ(result.end, TrainingResult::End::kInterrupted);
  EXPECT_EQ(result.state.step, 2);
  EXPECT_EQ(result.folder, run / "checkpoints" / "step-000002");
  EXPECT_EQ(find_last_checkpoint(run), result.folder);
  EXPECT_FALSE(fs::exists(run / "final"));
}

TEST(Trainer, RefusesFloat16) {
  ScriptedTask task(2);
  TinyModel model;
  model.claim_dtype(torch::kFloat16);
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { Trainer(model, task, tiny_info(), tiny_options(fresh_folder())); }),
            "[trainer] model.dtype: got float16, expected float32 or bfloat16: gradients "
            "leave float16's range.");
}

TEST(Trainer, FolderThatCannotBeMadeIsADataError) {
  const auto folder = fresh_folder();
  std::ofstream(folder / "file") << "";
  ScriptedTask task(2);
  TinyModel model;
  EXPECT_THAT(message_of<DataError>([&] {
                Trainer(model, task, tiny_info(), tiny_options(folder / "file" / "run")).run();
              }),
              HasSubstr("file/run: the folder cannot be made: Not a directory. "
                        "Choose another one."));
}

TEST(Trainer, ResumeOfAnotherModelTellsAllDifferences) {
  ScriptedTask task(4);
  TinyModel model;
  const auto run = fresh_folder();
  auto options = tiny_options(run);
  options.epochs = 1;
  Trainer(model, task, tiny_info(), options).run();
  auto info = tiny_info();
  info.fingerprints = {{"model", "huge"}, {"data.train", "9 records"}};
  Trainer other(model, task, info, options);
  EXPECT_THAT(testing_support::faults_of([&] { other.resume(run / "checkpoints/step-000001"); }),
              ElementsAre(HasSubstr("step-000001] data.train: got 9 records, expected 8 records "
                                    "(from the saved run)."),
                          HasSubstr("step-000001] model: got huge, expected tiny (from the saved "
                                    "run).")));
}

}  // namespace trainer_test
}  // namespace cpx::training
