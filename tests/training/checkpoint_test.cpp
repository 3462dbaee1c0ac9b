// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/checkpoint.h"

#include <fstream>
#include <gmock/gmock.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tiny_run.h"

namespace cpx::training {
namespace checkpoint_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::FileSizeLimit;
using testing_support::message_of;

AdapterInfo info() { return {.peft = tiny_info().peft, .model_card = "# A card\n"}; }

TrainerState state_at(int64_t step) {
  return {.step = step,
          .epoch = 1.25,
          .best = {.value = 0.1, .step = 4, .evaluations_without_better = 2},
          .skipped_steps = 3,
          .consecutive_skipped_steps = 1,
          .elapsed_s = 12.5,
          .fingerprints = {{"model", "tiny"}}};
}

std::vector<std::string> names(const std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  for (const auto& path : paths) names.push_back(path.filename().string());
  return names;
}

std::string error_of(const std::function<void()>& action) {
  return message_of<DataError>([&] { action(); });
}

TEST(Checkpoint, HoldsAdapterCardStateAndOptimizer) {
  const auto run = fresh_folder();
  TinyModel model;
  AdamW optimizer(model.trainable(), {});
  const auto path = write_checkpoint(run, state_at(50), optimizer.parameters(), optimizer, info());
  EXPECT_EQ(path, run / "checkpoints" / "step-000050");
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "README.md",
                           "trainer_state.json", "optimizer.safetensors"}) {
    EXPECT_TRUE(fs::exists(path / name)) << name;
  }
  EXPECT_EQ(read_text_file(path / "README.md"), "# A card\n");
}

TEST(Checkpoint, LoadedStateAdapterAndOptimizerEqualTheSavedOnes) {
  const auto run = fresh_folder();
  TinyModel model;
  AdamW optimizer(model.trainable(), {});
  for (const auto& parameter : optimizer.parameters()) {
    parameter.value.mutable_grad() = at::ones_like(parameter.value.detach());
  }
  optimizer.step(0.1);
  const auto path = write_checkpoint(run, state_at(50), optimizer.parameters(), optimizer, info());

  TinyModel other;
  AdamW other_optimizer(other.trainable(), {});
  const auto state = load_checkpoint(path, other_optimizer.parameters(), other_optimizer);
  EXPECT_EQ(state.step, 50);
  EXPECT_EQ(state.epoch, 1.25);
  EXPECT_EQ(state.best.value, 0.1);
  EXPECT_EQ(state.best.step, 4);
  EXPECT_EQ(state.best.evaluations_without_better, 2);
  EXPECT_EQ(state.skipped_steps, 3);
  EXPECT_EQ(state.consecutive_skipped_steps, 1);
  EXPECT_EQ(state.elapsed_s, 12.5);
  EXPECT_EQ(state.fingerprints, (Fingerprints{{"model", "tiny"}}));
  EXPECT_EQ(other_optimizer.num_updates(), 1);
  for (size_t i = 0; i < model.trainable().size(); ++i) {
    EXPECT_TRUE(model.trainable()[i].value.equal(other.trainable()[i].value));
  }
  for (size_t i = 0; i < optimizer.state().size(); ++i) {
    EXPECT_TRUE(optimizer.state()[i].value.equal(other_optimizer.state()[i].value));
  }
}

TEST(Checkpoint, NoBestYetReadsBackAsNone) {
  const auto run = fresh_folder();
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  const auto path = write_checkpoint(run, {.step = 1}, optimizer.parameters(), optimizer, info());
  EXPECT_EQ(read_trainer_state(path).best.value, std::nullopt);
}

TEST(Checkpoint, RotationKeepsTheNewest) {
  const auto run = fresh_folder();
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  for (const int64_t step : {8, 9, 10, 1000000}) {
    write_checkpoint(run, state_at(step), optimizer.parameters(), optimizer, info());
  }
  rotate_checkpoints(run, 0);
  EXPECT_THAT(names(list_checkpoints(run)),
              ElementsAre("step-000008", "step-000009", "step-000010", "step-1000000"));
  rotate_checkpoints(run, 2);
  EXPECT_THAT(names(list_checkpoints(run)), ElementsAre("step-000010", "step-1000000"));
  remove_checkpoints_after(run, 10);
  EXPECT_THAT(names(list_checkpoints(run)), ElementsAre("step-000010"));
  EXPECT_EQ(std::distance(fs::directory_iterator(run / "checkpoints"), {}), 1);
}

TEST(Checkpoint, LastOnePassesOverDamagedOnes) {
  const auto run = fresh_folder();
  EXPECT_EQ(find_last_checkpoint(run), std::nullopt);
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  for (const int64_t step : {1, 2, 3, 4, 5}) {
    write_checkpoint(run, state_at(step), optimizer.parameters(), optimizer, info());
  }
  const auto folder = [&](int step) {
    return run / "checkpoints" / fmt::format("step-00000{}", step);
  };
  EXPECT_EQ(find_last_checkpoint(run), folder(5));
  fs::remove(folder(5) / "trainer_state.json");
  EXPECT_EQ(find_last_checkpoint(run), folder(4));
  fs::resize_file(folder(4) / "optimizer.safetensors", 100);
  EXPECT_EQ(find_last_checkpoint(run), folder(3));
  fs::resize_file(folder(3) / "adapter_model.safetensors", 1000);
  EXPECT_EQ(find_last_checkpoint(run), folder(2));
  std::ofstream(folder(2) / "trainer_state.json") << "{\"version\": 1, \"step\": ";
  EXPECT_EQ(find_last_checkpoint(run), folder(1));
}

TEST(Checkpoint, FullDiskIsADataErrorAndKeepsTheLastGoodOne) {
  const auto run = fresh_folder();
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  const auto good = write_checkpoint(run, state_at(1), optimizer.parameters(), optimizer, info());
  const auto first_values = adapter_values(good);
  // Full in the first file, in the adapter, and in the optimizer's state.
  const std::vector<rlim_t> limits = {1, fs::file_size(good / "adapter_model.safetensors") - 1,
                                      fs::file_size(good / "optimizer.safetensors") - 1};
  for (const rlim_t bytes : limits) {
    const FileSizeLimit limit(bytes);
    const auto message = error_of(
        [&] { write_checkpoint(run, state_at(2), optimizer.parameters(), optimizer, info()); });
    EXPECT_THAT(message, HasSubstr("cannot be written: File too large"));
    EXPECT_THAT(message, HasSubstr("MiB free there"));
    // The same place again, as when a run goes on from its first step.
    error_of(
        [&] { write_checkpoint(run, state_at(1), optimizer.parameters(), optimizer, info()); });
  }
  EXPECT_EQ(find_last_checkpoint(run), good);
  EXPECT_TRUE(adapter_values(good).equal(first_values));
  EXPECT_EQ(std::distance(fs::directory_iterator(run / "checkpoints"), {}), 1);
}

TEST(Checkpoint, LeftoversOfAKilledRunAreRemoved) {
  const auto run = fresh_folder();
  fs::create_directories(run / "checkpoints" / ".step-000050.tmp");
  fs::create_directories(run / ".best.tmp");
  std::ofstream(run / ".best.tmp" / "README.md") << "half";
  std::ofstream(run / ".metrics.jsonl.tmp") << "half";
  std::ofstream(run / ".notes.tmp") << "the user's";
  std::ofstream(run / "config.yaml") << "version: 1";
  remove_leftovers(run);
  EXPECT_TRUE(fs::is_empty(run / "checkpoints"));
  EXPECT_FALSE(fs::exists(run / ".best.tmp"));
  EXPECT_FALSE(fs::exists(run / ".metrics.jsonl.tmp"));
  EXPECT_TRUE(fs::exists(run / ".notes.tmp"));
  EXPECT_TRUE(fs::exists(run / "config.yaml"));
}

TEST(Checkpoint, FolderWithMetricsOrCheckpointsHoldsARun) {
  const auto folder = fresh_folder();
  EXPECT_FALSE(holds_run(folder));
  EXPECT_FALSE(holds_run(folder / "none"));
  std::ofstream(folder / "metrics.jsonl") << "";
  EXPECT_TRUE(holds_run(folder));
  const auto sampled = fresh_folder();
  std::ofstream(sampled / "samples.jsonl") << "";
  EXPECT_TRUE(holds_run(sampled));
  const auto generated = fresh_folder();
  std::ofstream(generated / "generations.jsonl") << "";
  EXPECT_TRUE(holds_run(generated));
}

TEST(Checkpoint, FolderThatCannotBeMadeIsADataError) {
  const auto folder = fresh_folder();
  std::ofstream(folder / "file") << "";
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  EXPECT_THAT(
      error_of([&] {
        write_checkpoint(folder / "file", state_at(1), optimizer.parameters(), optimizer, info());
      }),
      HasSubstr("file/checkpoints: the folder cannot be made: Not a directory. Choose another"));
}

// Each entry: a change to a good trainer_state.json, and what is said of it.
TEST(Checkpoint, WrongTrainerStateIsADataErrorThatNamesTheKey) {
  const auto run = fresh_folder();
  TinyModel model;
  const AdamW optimizer(model.trainable(), {});
  const auto path = write_checkpoint(run, state_at(7), optimizer.parameters(), optimizer, info());
  const auto file = path / "trainer_state.json";
  const auto good = read_text_file(file);
  const auto error_with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    std::ofstream(file) << text;
    return error_of([&] { read_trainer_state(path); });
  };
  const std::string where = "[" + file.string() + "] ";
  EXPECT_EQ(error_with("\"step\": 7", "\"step\": -7"),
            where + "step: got -7, expected an integer of 0 or more.");
  EXPECT_EQ(error_with("\"step\": 7", "\"stop\": 7"), where + "step: is missing.");
  EXPECT_EQ(error_with("\"epoch\": 1.25", "\"epoch\": \"x\""),
            where + "epoch: got \"x\", expected a number.");
  EXPECT_EQ(error_with("\"model\": \"tiny\"", "\"model\": 5"),
            where + "fingerprints.model: got 5, expected a text.");
  EXPECT_EQ(error_with("\"version\": 1", "\"version\": 2"), where + "version: got 2, expected 1.");
  std::ofstream(file) << "nothing";
  EXPECT_EQ(error_of([&] { read_trainer_state(path); }),
            where + "is no JSON object: got 7 bytes. The checkpoint is damaged.");
}

TEST(Checkpoint, AdapterOfAnotherShapeIsADataErrorThatNamesBoth) {
  const auto run = fresh_folder();
  TinyModel model;
  AdamW optimizer(model.trainable(), {});
  const auto path = write_checkpoint(run, state_at(1), optimizer.parameters(), optimizer, info());
  auto parameters = model.trainable();
  parameters[1].value = at::zeros({16, 3}).requires_grad_();
  AdamW other(parameters, {});
  EXPECT_THAT(error_of([&] { load_checkpoint(path, other.parameters(), other); }),
              HasSubstr("'model.layers.0.self_attn.q_proj.lora_B.weight' is [16, 2], expected "
                        "[16, 3] (from the model and its adapter)."));
  auto fewer = model.trainable();
  fewer.pop_back();
  AdamW smaller(fewer, {});
  EXPECT_THAT(error_of([&] { load_checkpoint(path, smaller.parameters(), smaller); }),
              HasSubstr("got 4 adapter tensors, expected 3."));
  auto renamed = model.trainable();
  renamed[0].name = "model.layers.0.self_attn.k_proj.lora_A.weight";
  AdamW elsewhere(renamed, {});
  EXPECT_THAT(error_of([&] { load_checkpoint(path, elsewhere.parameters(), elsewhere); }),
              HasSubstr("'model.layers.0.self_attn.k_proj.lora_A.weight' is missing."));
}

TEST(Checkpoint, DifferencesOfFingerprintsAreToldAllAtOnce) {
  EXPECT_THAT(fingerprint_differences({{"model", "a"}, {"data", "b"}, {"old", "c"}},
                                      {{"model", "a"}, {"data", "x"}, {"new", "y"}}),
              ElementsAre("data: got x, expected b (from the saved run).",
                          "new: got y, expected nothing (from the saved run).",
                          "old: got nothing, expected c (from the saved run)."));
}

}  // namespace checkpoint_test
}  // namespace cpx::training
