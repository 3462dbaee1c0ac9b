// SPDX-License-Identifier: Apache-2.0
// The folder of a run as its user meets it: one run at a time, nobody's file is written over, and a
// run that came to nothing says so.
#include <filesystem>
#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace run_folder_tool_test {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class RunFolderTool : public TinyRun {
 protected:
  void put_config_into_run() const {
    fs::create_directory(output());
    write("run/config.yaml", "# Mine.\n" + read("config.yaml"));
  }

  ToolResult train_from_run(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--config", path("run/config.yaml"), "--device", "cpu"});
    return run_tool("cpx-train", more);
  }
};

// ---- one at a time ------------------------------------------------------------------------------

TEST_F(RunFolderTool, ASecondRunInTheSameFolderIsRefusedWithTheFirstOnesProcess) {
  BackgroundTool first("cpx-train", {"--config", path("config.yaml"), "--device", "cpu",
                                     "training.max_steps=100000", "checkpoint.every_steps=0"});
  ASSERT_TRUE(first.runs_until([&] { return exists("run/metrics.jsonl"); }));
  const std::string line = "cpx-train: [training.output] '" + output() + "' is in use: process " +
                           std::to_string(first.pid()) +
                           " writes it. Wait for that one, or choose another output.\n";
  for (const std::string flag : {"--overwrite", "--log-level=info"}) {
    const ToolResult second = train({flag});
    EXPECT_EQ(second.exit_code, 1);
    EXPECT_EQ(second.err, line);
  }
  const ToolResult resumed = train({"--resume", "auto"});
  EXPECT_EQ(resumed.exit_code, 1);
  EXPECT_EQ(resumed.err, line);
  EXPECT_TRUE(exists("run/metrics.jsonl"));
  first.send(SIGTERM);
  EXPECT_THAT(first.wait().out, StartsWith("interrupted at step"));
  EXPECT_FALSE(exists("run/.lock"));
  EXPECT_EQ(train({"--overwrite", "training.max_steps=1"}).exit_code, 0);
}

TEST_F(RunFolderTool, AKilledRunHoldsNothing) {
  BackgroundTool first("cpx-train", {"--config", path("config.yaml"), "--device", "cpu",
                                     "training.max_steps=100000", "checkpoint.every_steps=0"});
  ASSERT_TRUE(first.runs_until([&] { return exists("run/metrics.jsonl"); }));
  first.send(SIGKILL);
  first.wait();
  EXPECT_TRUE(exists("run/.lock"));
  EXPECT_EQ(train({"--overwrite", "training.max_steps=1"}).exit_code, 0);
  EXPECT_FALSE(exists("run/.lock"));
}

TEST_F(RunFolderTool, AStartThatFailsLeavesNoFolder) {
  for (const std::string fault : {"model.path=nowhere", "data.train=[none.json]"}) {
    EXPECT_EQ(train({fault, "training.output=" + path("a/b/c")}).exit_code, 1);
    EXPECT_FALSE(exists("a"));
  }
  fs::create_directory(path("there"));
  EXPECT_EQ(train({"model.path=nowhere", "training.output=" + path("there/run")}).exit_code, 1);
  EXPECT_TRUE(fs::is_empty(path("there")));
}

// ---- nobody's file is written over --------------------------------------------------------------

TEST_F(RunFolderTool, TheUsersConfigInTheRunFolderStays) {
  put_config_into_run();
  const std::string mine = read("run/config.yaml");
  ASSERT_EQ(train_from_run({"training.max_steps=2"}).exit_code, 0);
  EXPECT_EQ(read("run/config.yaml"), mine);
  EXPECT_THAT(read("run/config.resolved.yaml"),
              AllOf(StartsWith("# Written by cpx-train (hash "), HasSubstr("max_steps: 2")));

  const ToolResult resumed = train_from_run({"--resume", "auto", "training.max_steps=4"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read("run/config.yaml"), mine);
  EXPECT_THAT(read("run/config.resolved.yaml"), HasSubstr("max_steps: 4"));

  ASSERT_EQ(train_from_run({"--overwrite", "training.max_steps=1"}).exit_code, 0);
  EXPECT_EQ(read("run/config.yaml"), mine);
}

TEST_F(RunFolderTool, TheResolvedConfigIsAConfigToGoOnWith) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  const auto with_it = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"--config", path("run/config.resolved.yaml"), "--device", "cpu"});
    return run_tool("cpx-train", more);
  };
  EXPECT_EQ(with_it({"--resume", "auto", "training.max_steps=3"}).exit_code, 0);
  EXPECT_EQ(with_it({"--overwrite"}).exit_code, 0);
  EXPECT_THAT(read("run/config.resolved.yaml"), HasSubstr("max_steps: 3"));
}

TEST_F(RunFolderTool, AResolvedConfigThatWasChangedIsTheUsers) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  const std::string mine = read("run/config.resolved.yaml") + "# my note\n";
  write("run/config.resolved.yaml", mine);
  for (const std::string flag : {"--overwrite", "--validate"}) {
    const ToolResult result = train({flag});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err,
                StartsWith("cpx-train: [training.output] '" + path("run/config.resolved.yaml") +
                           "' was not written by cpx-train, or changed since: it would be written "
                           "over. Move it away.\n"));
  }
  EXPECT_EQ(read("run/config.resolved.yaml"), mine);
  EXPECT_TRUE(exists("run/final/adapter_config.json"));
}

TEST_F(RunFolderTool, OverwriteRemovesTheRunAndNothingElse) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  write("run/notes.txt", "mine");
  write("run/final/report.json", "mine");
  write("run/best/report.json", "mine");
  write("run/tensorboard/notes.txt", "mine");
  write("run/checkpoints/step-000002/why.txt", "mine");
  ASSERT_EQ(train({"--overwrite", "training.max_steps=1"}).exit_code, 0);
  for (const std::string name :
       {"run/notes.txt", "run/final/report.json", "run/best/report.json",
        "run/tensorboard/notes.txt", "run/checkpoints/step-000002/why.txt"}) {
    ASSERT_TRUE(exists(name)) << name;
    EXPECT_EQ(read(name), "mine");
  }
  EXPECT_TRUE(exists("run/final/adapter_config.json"));
  EXPECT_FALSE(exists("run/checkpoints/step-000002/trainer_state.json"));
  EXPECT_EQ(steps("run").size(), 1U);
}

TEST_F(RunFolderTool, FilesWithARunsNamesAreNotTakenForOne) {
  fs::create_directory(output());
  const auto message = [&](const std::string& name) {
    write("run/" + name, "a list of mine\n");
    const ToolResult result = train({"--overwrite"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(read("run/" + name), "a list of mine\n");
    fs::remove(path("run/" + name));
    return result.err;
  };
  const std::string begin = "cpx-train: [training.output] '" + output() + "/";
  const std::string end = ": it would be written over. Move it away.\n";
  EXPECT_EQ(message("metrics.jsonl"), begin + "metrics.jsonl' was not written by cpx-train" + end);
  EXPECT_EQ(message("samples.jsonl"), begin + "samples.jsonl' was not written by cpx-train" + end);
  EXPECT_EQ(message("generations.jsonl"),
            begin + "generations.jsonl' was not written by cpx-train" + end);
  EXPECT_EQ(message("final"), begin + "final' is no folder" + end);
  EXPECT_EQ(message("checkpoints"), begin + "checkpoints' is no folder" + end);
}

TEST_F(RunFolderTool, OverwriteDoesNotRemoveWhatTheRunIsMadeFrom) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  const std::string init = path("run/final");
  const ToolResult result = train({"--overwrite", "adapter.init_from=" + init});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "cpx-train: [--overwrite] '" + init +
                            "' is adapter.init_from, and part of the run in '" + output() +
                            "' that would be removed. Choose another training.output.\n");
  EXPECT_TRUE(exists("run/final/adapter_model.safetensors"));
}

// ---- runs that came to nothing ------------------------------------------------------------------

TEST_F(RunFolderTool, ARunOfSkippedStepsFailsAndItsAdapterIsToldAsUnusable) {
  use("num_positives: 2, num_hard_negatives: 2");
  const ToolResult result = train({"optimizer.lr=1e30", "model.dtype=float32", "--threads", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("adapter     " + path("run/final") +
                                    ": not usable, 5 of 6 optimizer steps were skipped, expected "
                                    "at most half\n"));
  EXPECT_THAT(result.err,
              EndsWith("cpx-train: [training] " + path("run/final") +
                       ": the adapter is not usable: 5 of 6 optimizer steps were skipped, expected "
                       "at most half. Lower optimizer.lr, or look at the warnings above and at "
                       "metrics.jsonl.\n"));
  EXPECT_THAT(read("run/final/README.md"),
              HasSubstr("| not usable | 5 of 6 optimizer steps were skipped, expected at most half "
                        "|\n"));
}

}  // namespace run_folder_tool_test
}  // namespace cpx::tests
