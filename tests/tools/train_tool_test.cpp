// SPDX-License-Identifier: Apache-2.0
// cpx-train as its user meets it: flags, results, errors, interruption and resume.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using TrainTool = TinyRun;

// The losses of a run's metrics.jsonl by step.
std::vector<double> losses(const std::string& metrics) {
  std::vector<double> values;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line);
    if (object.contains("loss")) values.push_back(object.at("loss").get<double>());
  }
  return values;
}

TEST_F(TrainTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-train", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--config"), HasSubstr("--resume"),
                                HasSubstr("--estimate"), HasSubstr("Examples:")));
  EXPECT_EQ(result.err, "");
}

TEST_F(TrainTool, TellsItsVersion) {
  const ToolResult result = run_tool("cpx-train", {"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("cpx-train 0."));
}

TEST_F(TrainTool, AnUnknownFlagIsWrongUsage) {
  const ToolResult result = train({"--steps", "3"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("cpx-train: [command line] "));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, WithoutAConfigItSaysWhichFlagIsMissing) {
  const ToolResult result = run_tool("cpx-train", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-train: [command line] --config: got nothing, expected a YAML file. Try "
            "configs/demo.yaml.\n");
}

TEST_F(TrainTool, ARunLeavesAdapterCheckpointsMetricsAndConfig) {
  const ToolResult result = train();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("finished at step 6 of 6"), HasSubstr("/run/final")));
  for (const std::string file :
       {"run/config.yaml", "run/metrics.jsonl", "run/final/adapter_config.json",
        "run/final/adapter_model.safetensors", "run/final/README.md", "run/best/README.md",
        "run/checkpoints/step-000006/trainer_state.json",
        "run/checkpoints/step-000006/optimizer.safetensors"}) {
    EXPECT_TRUE(exists(file)) << file;
  }
  const std::vector<double> all = losses(read("run/metrics.jsonl"));
  ASSERT_EQ(all.size(), 6);
  EXPECT_FALSE(std::filesystem::is_empty(path("run/tensorboard")));
}

TEST_F(TrainTool, ARunInTheOutputFolderIsAnErrorUnlessItIsOverwritten) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  const ToolResult again = train({"training.max_steps=1"});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_EQ(again.err, "cpx-train: [training.output] '" + output() +
                           "' holds a run: expected a new or empty folder. Use --resume auto to go "
                           "on with it, or --overwrite to start anew.\n");
  EXPECT_EQ(train({"training.max_steps=1", "--overwrite"}).exit_code, 0);
}

TEST_F(TrainTool, AResumedRunEqualsTheUninterruptedOne) {
  // Two fresh runs are compared: each would measure `auto` by itself.
  ASSERT_EQ(train({"model.dtype=float32"}).exit_code, 0);
  const auto expected = losses(read("run/metrics.jsonl"));
  const std::string final = read("run/final/adapter_model.safetensors");

  ASSERT_EQ(train({"--overwrite", "model.dtype=float32", "training.max_steps=4"}).exit_code, 0);
  const ToolResult resumed = train({"--resume", "auto"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(losses(read("run/metrics.jsonl")), expected);
  EXPECT_EQ(read("run/final/adapter_model.safetensors"), final);
}

TEST_F(TrainTool, AResumeComputesInTheTypeThatTheRunBeganIn) {
  for (const std::string type : {"bfloat16", "float32"}) {
    ASSERT_EQ(train({"--overwrite", "model.dtype=" + type}).exit_code, 0);
    const auto expected = losses(read("run/metrics.jsonl"));
    ASSERT_EQ(train({"--overwrite", "model.dtype=" + type, "training.max_steps=2"}).exit_code, 0);
    // `auto` is not measured anew, whatever the machine would say now.
    const ToolResult resumed = train({"--resume", "auto"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(losses(read("run/metrics.jsonl")), expected) << type;
    EXPECT_THAT(read("run/config.yaml"), HasSubstr("dtype: " + type));
  }
}

TEST_F(TrainTool, ADtypeThatWasMeasuredIsWrittenDown) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  EXPECT_THAT(read("run/config.yaml"), Not(HasSubstr("dtype: auto")));
}

TEST_F(TrainTool, AnInterruptWritesACheckpointAndTheRunGoesOn) {
  BackgroundTool tool("cpx-train", {"--config", path("config.yaml"), "--device", "cpu",
                                    "training.max_steps=100000", "checkpoint.every_steps=0"});
  while (!exists("run/metrics.jsonl") || num_lines(read("run/metrics.jsonl")) < 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  tool.send(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("interrupted at step"), HasSubstr("--resume auto")));
  EXPECT_EQ(
      train({"--resume", "auto", "checkpoint.every_steps=0", "training.max_steps=1"}).exit_code, 0);
}

TEST_F(TrainTool, ResumeWithAnotherConfigSaysEverythingThatDiffers) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  const ToolResult result = train({"--resume", "auto", "optimizer.lr=0.5", "adapter.rank=8"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AllOf(HasSubstr("cpx-train: [--resume] adapter.rank: got 8, expected 4"),
                                HasSubstr("cpx-train: [--resume] optimizer.lr: got 0.5")));
  EXPECT_EQ(num_lines(result.err), 2);
}

TEST_F(TrainTool, ResumeOfOtherDataSaysSo) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  write("shard.json", read("eval.json"));
  const ToolResult result = train({"--resume", "auto"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("data.train: got "));
}

TEST_F(TrainTool, ResumeFromAFolderWithoutACheckpointIsAnError) {
  const ToolResult result = train({"--resume", path("nothing")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [--resume] '" + path("nothing") +
                            "' is no checkpoint and holds none: expected a folder with "
                            "trainer_state.json, or a run folder with checkpoints/.\n");
}

TEST_F(TrainTool, AFreshRunWithResumeAutoStartsAtZero) {
  EXPECT_EQ(train({"--resume", "auto", "training.max_steps=1"}).exit_code, 0);
}

TEST_F(TrainTool, ValidateDescribesAGoodConfigAndTrainsNothing) {
  const ToolResult result = train({"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("1 file, 7 records: 7 used, 0 skipped"),
                                HasSubstr("steps      6 in all, 4 an epoch")));
  EXPECT_FALSE(exists("run"));
}

TEST_F(TrainTool, ValidateTellsFaultsOfConfigAndDataAtOnce) {
  write("eval.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": "no list"}])");
  const ToolResult result =
      train({"--validate", "optimizer.lr=-1", "adapter.rnk=3", "model.path=nowhere"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("optimizer.lr"), HasSubstr("adapter.rank"), HasSubstr("nowhere"),
                    HasSubstr("eval.json"), HasSubstr("nothing was trained")));
}

TEST_F(TrainTool, ValidateOfARunWithoutAnEndTellsThatFaultAlone) {
  const ToolResult result = train({"--validate", "training.max_steps=0", "training.epochs=0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("epochs and max_steps are both 0, expected one > 0."));
  EXPECT_EQ(num_lines(result.err), 2);
}

TEST_F(TrainTool, InspectShowsPiecesIdsMasksAndRoles) {
  const ToolResult result = train({"--inspect", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("Example 1 of 7"), HasSubstr("target 'desk'"),
                    HasSubstr("positive: "), HasSubstr("hard_negative: "), HasSubstr("  pieces  "),
                    HasSubstr("  ids     "), HasSubstr("  mask    0 ")));
  EXPECT_THAT(result.out, HasSubstr("<|im_end|>"));  // EOS is appended
}

TEST_F(TrainTool, PrintConfigLoadsAgainToTheSame) {
  const ToolResult first = train({"--print-config", "optimizer.lr=0.125"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("lr: 0.125"));
  write("again.yaml", first.out);
  const ToolResult second =
      run_tool("cpx-train", {"--config", path("again.yaml"), "--print-config"});
  EXPECT_EQ(second.out, first.out);
}

TEST_F(TrainTool, EstimateNeedsNoWeights) {
  const ToolResult result = train({"--estimate"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("weights"), HasSubstr("activations"), HasSubstr("total"),
                                HasSubstr("A100 80 GB"), HasSubstr("as drawn")));
}

TEST_F(TrainTool, EstimateOfAConfigJsonAloneSaysThatItIsABound) {
  std::filesystem::create_directory(path("alone"));
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model() + "/config.json", path("alone"));
  const ToolResult result = train({"--estimate", "model.path=" + path("alone/config.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("384 tokens at most (8 texts, the longest 48)"),
                                HasSubstr("an upper bound")));
}

TEST_F(TrainTool, SftTrainsFromTheSameShards) {
  write("sft.yaml", "model: {path: " + model() +
                        "}\n"
                        "adapter: {rank: 4}\n"
                        "data: {train: [\"" +
                        path("shard.json") + "\"], eval: [\"" + path("eval.json") +
                        "\"]}\n"
                        "objective: {name: sft, num_positives: 2}\n"
                        "training: {max_steps: 3, output: " +
                        output() + "}\n");
  const ToolResult result =
      run_tool("cpx-train", {"--config", path("sft.yaml"), "--device", "cpu"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(losses(read("run/metrics.jsonl")).size(), 3);
}

// ---- what goes wrong, one line each ------------------------------------------------------------

TEST_F(TrainTool, AMissingModelIsOneLine) {
  const ToolResult result = train({"model.path=nowhere"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("cpx-train: ["), HasSubstr("nowhere")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, NoDataFilesIsOneLine) {
  const ToolResult result = train({"data.train=[" + path("none*.json") + "]"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("cpx-train: ["), HasSubstr("none*.json")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, EmptyDataIsOneLine) {
  write("shard.json", "[]");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(num_lines(result.err), 1);
  EXPECT_THAT(result.err, StartsWith("cpx-train: ["));
}

TEST_F(TrainTool, TargetsThatMatchNothingAreOneLineWithTheLayers) {
  const ToolResult result = train({"adapter.target_modules=[query]"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AllOf(HasSubstr("query"), HasSubstr("q_proj")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, AnOutputBelowAFileIsOneLine) {
  const ToolResult result = train({"training.output=" + path("shard.json") + "/run"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("cpx-train: [training.output] "),
                                HasSubstr("cannot be made"), HasSubstr("Choose another folder.")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, ATruncatedModelIsOneLine) {
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
  std::filesystem::resize_file(path("model/model.safetensors"), 5000);
  const ToolResult result = train({"model.path=" + path("model")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(StartsWith("cpx-train: ["), HasSubstr("model.safetensors")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(TrainTool, FaultsOfAConfigAreToldAllAtOnce) {
  write("config.yaml", "model: {path: m}\nmodel: {path: n}\ntraining:\n\toutput: x\n");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("cpx-train: ["));
  EXPECT_THAT(result.err, Not(HasSubstr("terminate")));
}

}  // namespace
}  // namespace cpx::tests
