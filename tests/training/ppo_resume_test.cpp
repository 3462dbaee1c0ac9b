// SPDX-License-Identifier: Apache-2.0
// A PPO run that goes on from a checkpoint equals the uninterrupted one, bit for bit, wherever in
// a rollout the checkpoint lies.
#include <csignal>
#include <functional>
#include <gmock/gmock.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/output_file.h"
#include "cpx/formats/safetensors.h"
#include "cpx/training/trainer.h"
#include "tests/support/errors.h"
#include "tiny_ppo.h"

namespace cpx::training {
namespace ppo_resume_test {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::message_of;

constexpr double kDropout = 0.2;

// Rollouts of four steps, two an epoch: steps 4 and 8 end one, step 8 an epoch too.
TrainerOptions options_for(const fs::path& run) {
  auto options = tiny_options(run);
  options.max_steps = 10;
  options.accumulate = 1;
  options.evaluate_every = 3;
  return options;
}

// The controller moves, the scores are scaled by running moments, and some passes are skipped.
PpoStepOptions ppo_options() {
  auto options = tiny_ppo_options();
  options.kl = {.target = 0.01, .horizon = 50.0};
  options.scores = {.missing_eos_penalty = 0.1, .use_score_scaling = true, .use_score_norm = true};
  options.early_stopping = true;
  options.target_kl = 1e-9;
  options.seed = 4;  // some of the passes move the policy far enough to be the last
  return options;
}

struct World : TinyPpo {
  World() : TinyPpo(11, /*held_out=*/0.25) {}
};

TrainingResult run_with(const TrainerOptions& options, const fs::path& checkpoint = {}) {
  const World world;
  TinyModel model(kDropout);
  auto task = world.task(model, ppo_options());
  Trainer trainer(model, task, tiny_info(), options);
  if (!checkpoint.empty()) trainer.resume(checkpoint);
  return trainer.run();
}

std::string bytes_of(const fs::path& run, const char* name) { return read_text_file(run / name); }

void expect_equal_runs(const fs::path& run, const fs::path& whole) {
  EXPECT_TRUE(adapter_values(run / "final").equal(adapter_values(whole / "final")));
  for (const char* name :
       {"final/value_head.safetensors", "best/value_head.safetensors", "samples.jsonl",
        "checkpoints/step-000010/ppo_state.json", "checkpoints/step-000010/rollout.safetensors"}) {
    EXPECT_TRUE(bytes_of(run, name) == bytes_of(whole, name)) << name;
  }
  EXPECT_EQ(repeatable_metrics(run), repeatable_metrics(whole));
}

TEST(PpoResume, EveryPositionGoesOnBitForBit) {
  const auto folder = fresh_folder();
  const auto whole = folder / "whole";
  EXPECT_EQ(run_with(options_for(whole)).state.step, 10);
  for (const int64_t step : {1, 2, 3, 4, 6, 8}) {
    SCOPED_TRACE(step);
    const auto run = folder / fmt::format("from_{}", step);
    fs::copy(whole, run, fs::copy_options::recursive);
    auto options = options_for(run);
    options.checkpoint_every = 100;  // besides, the last step
    run_with(options, run / "checkpoints" / fmt::format("step-{:06}", step));
    expect_equal_runs(run, whole);
  }
}

TEST(PpoResume, TheComparedRunSkipsSomeStepsAndLearnsInOthers) {
  const auto run = fresh_folder();
  run_with(options_for(run));
  int num_skipped = 0;
  for (const std::string& line : repeatable_metrics(run)) {
    num_skipped += line.find("\"skipped_micro_batches\":1") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(num_skipped, 0);
  EXPECT_LT(num_skipped, 5);
}

// Raises a signal at its call number `at_call`.
class SignallingScorer : public nn::TextScorer {
 public:
  explicit SignallingScorer(int64_t at_call) : at_call_(at_call) {}
  torch::Tensor logits(std::span<const std::string> texts) override {
    if (++num_calls_ == at_call_) std::raise(SIGTERM);
    return words_.logits(texts);
  }
  const std::vector<std::string>& labels() const override { return words_.labels(); }
  LabelKind label_kind() const override { return words_.label_kind(); }
  int64_t max_tokens() const override { return words_.max_tokens(); }

 private:
  WordListScorer words_{rewarded_words()};
  int64_t at_call_;
  int64_t num_calls_ = 0;
};

// The signal comes while the second rollout is scored, between two micro batches of its first step:
// the checkpoint lies before that step but holds the rollout, whose samples are told when the step
// is done.
TEST(PpoResume, ASignalInARolloutsFirstStepLosesNothing) {
  const auto folder = fresh_folder();
  const auto options_of = [&](const char* name) {
    auto options = options_for(folder / name);
    options.accumulate = 2;
    options.evaluate_every = 0;
    options.checkpoint_every = 100;
    return options;
  };
  const World world;
  {
    TinyModel model(kDropout);
    auto task = world.task(model, ppo_options());
    Trainer(model, task, tiny_info(), options_of("whole")).run();
  }
  install_interrupt_handlers();
  clear_interrupt();
  fs::path checkpoint;
  {
    TinyModel model(kDropout);
    PpoStep task(model, world.prompts, world.prompts.held_out(), world.encoder.tokenizer(),
                 RewardModel(std::make_shared<SignallingScorer>(/*at_call=*/2), {}), ppo_options());
    const auto result = Trainer(model, task, tiny_info(), options_of("cut")).run();
    clear_interrupt();
    EXPECT_EQ(result.end, TrainingResult::End::kInterrupted);
    EXPECT_EQ(result.state.step, 2);
    checkpoint = result.folder;
  }
  TinyModel model(kDropout);
  auto task = world.task(model, ppo_options());
  Trainer trainer(model, task, tiny_info(), options_of("cut"));
  trainer.resume(checkpoint);
  EXPECT_EQ(task.rollout().number, 1);
  trainer.run();
  EXPECT_TRUE(
      adapter_values(folder / "cut" / "final").equal(adapter_values(folder / "whole" / "final")));
  EXPECT_TRUE(bytes_of(folder / "cut", "samples.jsonl") ==
              bytes_of(folder / "whole", "samples.jsonl"));
  EXPECT_EQ(repeatable_metrics(folder / "cut"), repeatable_metrics(folder / "whole"));
}

TEST(PpoResume, ADamagedStateIsNamed) {
  const auto run = fresh_folder();
  run_with(options_for(run));
  const auto checkpoint = run / "checkpoints" / "step-000003";
  const auto message_with = [&](const std::string& text) -> std::string {
    write_file_atomically(checkpoint / "ppo_state.json", text);
    const World world;
    TinyModel model(kDropout);
    auto task = world.task(model, ppo_options());
    Trainer trainer(model, task, tiny_info(), options_for(run));
    return message_of<DataError>([&] { trainer.resume(checkpoint); });
  };
  EXPECT_THAT(message_with("{"), HasSubstr("ppo_state.json] is no PPO state of version 1. The "
                                           "checkpoint is damaged."));
  EXPECT_THAT(message_with(R"({"version": 1, "is_told": true})"), HasSubstr("is_stopped"));
}

// A checkpoint whose rollout is torn is passed over for the one before.
TEST(PpoResume, ATornRolloutMakesACheckpointDamaged) {
  const auto run = fresh_folder();
  run_with(options_for(run));
  const auto last = run / "checkpoints" / "step-000010";
  EXPECT_EQ(find_last_checkpoint(run), last);
  fs::resize_file(last / "rollout.safetensors", 100);
  EXPECT_EQ(find_last_checkpoint(run), run / "checkpoints" / "step-000009");
}

}  // namespace ppo_resume_test
}  // namespace cpx::training
