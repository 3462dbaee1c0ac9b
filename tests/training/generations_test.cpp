// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/generations.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "scripted_task.h"
#include "tests/support/errors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace generations_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing_support::message_of;

constexpr double kDropout = 0.3;
constexpr int64_t kNewTokens = 6;
const NumberTokenizer kTokenizer;

GenerationOptions two_prompts() {
  return {.prompts = {{.text = "5 17 9", .ids = {5, 17, 9}}, {.text = "33", .ids = {33}}},
          .max_new_tokens = kNewTokens};
}

TrainerOptions options_for(const fs::path& run) {
  auto options = tiny_options(run);
  options.epochs = 3;
  options.generate_every = 2;
  return options;
}

// A run of nine steps; from a checkpoint on where one is named.
void train(const TrainerOptions& options, Generations* generations, const fs::path& from = {}) {
  ScriptedTask task(5);
  TinyModel model(kDropout);
  Trainer trainer(model, task, tiny_info(), options, generations);
  if (!from.empty()) trainer.resume(from);
  trainer.run();
}

void train_with_prompts(const TrainerOptions& options, const fs::path& from = {}) {
  Generations generations(kTokenizer, two_prompts());
  train(options, &generations, from);
}

std::string text_of(const fs::path& run) { return read_text_file(run / kGenerationsFile); }

std::vector<nlohmann::json> lines_of(const fs::path& run) {
  std::vector<nlohmann::json> found;
  std::istringstream lines(text_of(run));
  for (std::string line; std::getline(lines, line);) found.push_back(nlohmann::json::parse(line));
  return found;
}

TEST(Generations, ARunWithThemTrainsBitForBitAsWithout) {
  const auto folder = fresh_folder();
  train_with_prompts(options_for(folder / "with"));
  train(options_for(folder / "without"), nullptr);
  EXPECT_EQ(repeatable_metrics(folder / "with"), repeatable_metrics(folder / "without"));
  for (const char* name : {"final", "best", "checkpoints/step-000004"}) {
    EXPECT_TRUE(
        adapter_values(folder / "with" / name).equal(adapter_values(folder / "without" / name)))
        << name;
  }
  EXPECT_FALSE(fs::exists(folder / "without" / kGenerationsFile));
}

// Before the first step, every two steps, and after the last one; both prompts each time.
TEST(Generations, AreWrittenAtTheStartEveryNStepsAndAtTheEnd) {
  const auto run = fresh_folder();
  train_with_prompts(options_for(run));
  std::vector<std::pair<int64_t, std::string>> places;
  for (const auto& line : lines_of(run)) places.emplace_back(line["step"], line["prompt"]);
  std::vector<std::pair<int64_t, std::string>> expected;
  for (const int64_t step : {0, 2, 4, 6, 8, 9}) {
    expected.emplace_back(step, "5 17 9");
    expected.emplace_back(step, "33");
  }
  EXPECT_EQ(places, expected);
}

TEST(Generations, WithoutACadenceThereAreNone) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.generate_every = 0;
  train_with_prompts(options);
  EXPECT_FALSE(fs::exists(run / kGenerationsFile));
}

TEST(Generations, ARunThatLostPatienceHasThoseOfItsEnd) {
  const auto run = fresh_folder();
  auto options = options_for(run);
  options.evaluate_every = 1;
  options.generate_every = 100;
  options.early_stopping_patience = 2;
  ScriptedTask task(5);
  task.losses = {9, 1, 2, 2};
  TinyModel model;
  Generations generations(kTokenizer, two_prompts());
  const auto result = Trainer(model, task, tiny_info(), options, &generations).run();
  EXPECT_EQ(result.end, TrainingResult::End::kStoppedEarly);
  EXPECT_EQ(lines_of(run).back()["step"], result.state.step);
}

// The likeliest token after each prefix, without a cache.
std::string greedy(nn::CausalLm& model, std::vector<int64_t> ids, int64_t count) {
  const torch::NoGradGuard no_grad;
  const size_t prompt = ids.size();
  for (int64_t i = 0; i < count; ++i) {
    const auto hidden = model.hidden_states(
        {.ids = at::tensor(ids, at::kLong), .cu_seqlens = {0, static_cast<int32_t>(ids.size())}},
        {});
    ids.push_back(model.logits(hidden.slice(0, -1), {}).argmax().item().toLong());
  }
  return number_text(std::span<const int64_t>(ids).subspan(prompt));
}

TEST(Generations, TextsAreGreedyAndOfTheAdapterAsItIs) {
  const auto run = fresh_folder();
  TinyModel model(kDropout);
  Generations generations(kTokenizer, two_prompts());
  generations.begin_run(run);
  generations.add(model, 1);
  const std::string before = greedy(model, {5, 17, 9}, kNewTokens);
  EXPECT_EQ(lines_of(run)[0]["text"], " " + before);
  EXPECT_EQ(lines_of(run)[1]["text"], " " + greedy(model, {33}, kNewTokens));
  {
    const torch::NoGradGuard no_grad;
    for (const auto& parameter : model.trainable()) torch::Tensor(parameter.value).mul_(-8.0);
  }
  generations.add(model, 2);
  const std::string after = greedy(model, {5, 17, 9}, kNewTokens);
  EXPECT_NE(before, after);
  EXPECT_EQ(lines_of(run)[2]["text"], " " + after);
}

TEST(Generations, AStopTokenEndsATextAndIsNoPartOfIt) {
  const auto run = fresh_folder();
  TinyModel model;
  std::istringstream words(greedy(model, {33}, kNewTokens));
  std::vector<std::string> ids;
  for (std::string word; words >> word;) ids.push_back(word);
  GenerationOptions options = two_prompts();
  options.stop_ids = {std::stoll(ids[2])};
  Generations generations(kTokenizer, options);
  generations.begin_run(run);
  generations.add(model, 1);
  std::string expected;
  for (size_t i = 0; i < 2 && ids[i] != ids[2]; ++i) expected += " " + ids[i];
  EXPECT_EQ(lines_of(run)[1]["text"], expected);
}

// A run that goes on has the checkpoint's past and writes the rest anew.
TEST(Generations, AResumedRunHasThoseOfEachStepOnce) {
  const auto folder = fresh_folder();
  train_with_prompts(options_for(folder / "whole"));
  for (const int64_t step : {1, 2, 5, 8}) {
    const auto run = folder / fmt::format("from_{}", step);
    train_with_prompts(options_for(run));
    train_with_prompts(options_for(run), run / "checkpoints" / fmt::format("step-{:06}", step));
    EXPECT_EQ(text_of(run), text_of(folder / "whole")) << step;
    EXPECT_EQ(repeatable_metrics(run), repeatable_metrics(folder / "whole")) << step;
  }
}

TEST(Generations, AResumedRunWithoutPromptsKeepsThoseOfItsPastAlone) {
  const auto run = fresh_folder();
  train_with_prompts(options_for(run));
  train(options_for(run), nullptr, run / "checkpoints" / "step-000005");
  EXPECT_EQ(lines_of(run).size(), 2 * 3);
  EXPECT_EQ(lines_of(run).back()["step"], 4);
}

TEST(Generations, NoPromptsAndNoFileAreRefused) {
  EXPECT_EQ(message_of<std::invalid_argument>([] { Generations(kTokenizer, {}); }),
            "[generations] got 0 prompts, expected at least 1.");
  TinyModel model;
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { Generations(kTokenizer, two_prompts()).add(model, 3); }),
            "[generations] step 3: expected begin_run() before it.");
}

}  // namespace generations_test
}  // namespace cpx::training
