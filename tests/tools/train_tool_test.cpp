// SPDX-License-Identifier: Apache-2.0
// cpx-train as its user meets it: flags, results, errors, interruption and resume.
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace train_tool_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
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
  EXPECT_EQ(result.err,
            "cpx-train: [command line] The following argument was not expected: --steps. See "
            "cpx-train --help.\n");
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
       {"run/config.resolved.yaml", "run/metrics.jsonl", "run/final/adapter_config.json",
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
  for (const std::string threads : {"1", "2"}) {
    // Two fresh runs are compared: each would measure `auto` by itself.
    const std::vector<std::string> fresh = {"--overwrite", "--threads", threads,
                                            "model.dtype=float32"};
    ASSERT_EQ(train(fresh).exit_code, 0);
    const auto expected = losses(read("run/metrics.jsonl"));
    const std::string final = read("run/final/adapter_model.safetensors");

    auto shorter = fresh;
    shorter.emplace_back("training.max_steps=4");
    ASSERT_EQ(train(shorter).exit_code, 0);
    const ToolResult resumed = train({"--resume", "auto", "--threads", threads});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(losses(read("run/metrics.jsonl")), expected) << threads;
    EXPECT_EQ(read("run/final/adapter_model.safetensors"), final) << threads;
  }
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
    EXPECT_THAT(read("run/config.resolved.yaml"), HasSubstr("dtype: " + type));
  }
}

// Adapters, norms, softmax and losses are float32 in both.
TEST_F(TrainTool, TheLossCurveInBfloat16IsFloat32sWithinItsTolerance) {
  const auto contrasts = [&](const std::string& type) {
    EXPECT_EQ(train({"--overwrite", "model.dtype=" + type}).exit_code, 0);
    std::vector<double> values;
    std::istringstream lines(read("run/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto step = nlohmann::json::parse(line);
      if (step.contains("contrast")) values.push_back(step["contrast"]);
    }
    return values;
  };
  const auto exact = contrasts("float32");
  const auto rounded = contrasts("bfloat16");
  ASSERT_GE(exact.size(), 4);
  ASSERT_EQ(rounded.size(), exact.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(rounded[i], exact[i], 4e-2 * std::abs(exact[i])) << "step " << i + 1;
  }
}

TEST_F(TrainTool, ADtypeThatWasMeasuredIsWrittenDown) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  EXPECT_THAT(read("run/config.resolved.yaml"), Not(HasSubstr("dtype: auto")));
}

TEST_F(TrainTool, AProfileIsATraceAndATableOfTheParts) {
  const ToolResult result = train({"--profile", path("trace.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("part "), HasSubstr("\nattention "), HasSubstr("\ntoken_nll "),
                    HasSubstr("\nadamw "), HasSubstr("\nstep "), HasSubstr("\npeak, ")));
  EXPECT_TRUE(nlohmann::json::parse(read("trace.json")).contains("traceEvents"));
}

TEST_F(TrainTool, AProfileThatCannotBeWrittenIsToldBeforeTheRun) {
  const ToolResult result = train({"--profile", path("no/trace.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [--profile] '" + path("no/trace.json") +
                            "' cannot be written: there is no folder '" + path("no") +
                            "'. Make it first.\n");
  EXPECT_FALSE(exists("run"));
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
  EXPECT_EQ(result.err,
            "cpx-train: [--resume] adapter.rank: got 8, expected 4 (from the saved run).\n"
            "cpx-train: [--resume] optimizer.lr: got 0.5, expected 0.01 (from the saved run).\n");
}

TEST_F(TrainTool, ResumeOfOtherDataSaysSo) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  write("shard.json", read("eval.json"));
  const ToolResult result = train({"--resume", "auto"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(last_line(result),
              MatchesRegex("cpx-train: .resume " + path("run/checkpoints/step-000002") +
                           ". data.train: got 3 records, [0-9a-f]{16}, expected 7 records, "
                           "[0-9a-f]{16} .from the saved run..\n"));
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

// A record of a shard, two texts a side.
std::string record_of(const std::string& id, const std::string& neutral, const std::string& toxic) {
  return R"({"input": "x", "group": "g", "id": ")" + id + R"(", "paraphrases": [)" + neutral +
         R"(], "paraphrases_toxic": [)" + toxic + "]}";
}

const char* const kRepeatedInTrain =
    "data.train: 8 texts, 5 of them different, one in 3 places: a text that stands in many records "
    "weighs more, and is not new where one of these is held out. Hold out by text.\n";
const char* const kSharedWithEval =
    "data.eval: 2 of 4 texts stand in data.train too: the evaluation is not of held-out text "
    "alone. Hold out by text.\n";

TEST_F(TrainTool, TextsThatRepeatAndThatAreInTrainAndEvalAreTold) {
  write("shard.json", "[" + record_of("1", R"("a", "b")", R"("r", "s")") + ", " +
                          record_of("2", R"("a", "c")", R"("a", "r")") + "]");
  write("eval.json", "[" + record_of("3", R"("a", "d")", R"("s", "t")") + "]");
  const ToolResult validated = train({"--validate"});
  EXPECT_EQ(validated.exit_code, 0) << validated.err;
  EXPECT_THAT(validated.out, HasSubstr(std::string("\nnotice     ") + kRepeatedInTrain));
  EXPECT_THAT(validated.out, HasSubstr(std::string("\nnotice     ") + kSharedWithEval));
  const ToolResult trained = train({"training.max_steps=1"});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr(kRepeatedInTrain));
  EXPECT_THAT(trained.err, HasSubstr(kSharedWithEval));
}

TEST_F(TrainTool, TextsThatStandOnceAreNotSpokenOf) {
  write("eval.json", "[" + record_of("1", R"("a", "b")", R"("r", "s")") + "]");
  const ToolResult result = train({"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(Not(HasSubstr("different")), Not(HasSubstr("data.train too"))));
}

TEST_F(TrainTool, ValidateTellsFaultsOfConfigAndDataAtOnce) {
  write("eval.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": "no list"}])");
  const ToolResult result =
      train({"--validate", "optimizer.lr=-1", "adapter.rnk=3", "model.path=nowhere"});
  EXPECT_EQ(result.exit_code, 2);
  const std::string record = "cpx-train: [" + path("eval.json") + ": record 1 (id '1')] ";
  EXPECT_EQ(
      result.err,
      "cpx-train: [command line: adapter.rnk=3] adapter.rnk: unknown key. Did you mean "
      "'adapter.rank'?\n"
      "cpx-train: [command line: optimizer.lr=-1] optimizer.lr: got '-1', expected a number > "
      "0.\n"
      "cpx-train: [read_config] nowhere: no such file or folder, expected a model folder or a "
      ".gguf.\n"
      "cpx-train: [read_tokenizer] nowhere: no such file or folder, expected a model folder "
      "or a .gguf.\n" +
          record +
          "'paraphrases' is 'no list', expected a list of texts or an object {text: score}.\n" +
          record +
          "'paraphrases_toxic' is missing (keys: input, group, id, paraphrases), expected a list "
          "of texts or an object {text: score}. The other side is here; cpx-paraphrase --polarity "
          "toxic adds this one.\n"
          "cpx-train: 6 faults found, nothing was trained.\n");
}

TEST_F(TrainTool, ValidateOfARunWithoutAnEndTellsThatFaultAlone) {
  const ToolResult result = train({"--validate", "training.max_steps=0", "training.epochs=0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [command line: training.epochs=0] training.epochs: epochs and max_steps are "
      "both 0, expected one > 0.\n"
      "cpx-train: 1 fault found, nothing was trained.\n");
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

TEST_F(TrainTool, AByteOrderMarkAndLineEndsOfAChatTemplateChangeNothing) {
  const std::string jinja =
      "{% for m in messages %}\n<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor "
      "%}\n";
  std::string windows = "\xEF\xBB\xBF";
  for (const char c : jinja) windows += c == '\n' ? "\r\n" : std::string(1, c);
  write("unix.jinja", jinja);
  write("windows.jinja", windows);
  const auto inspected = [&](const std::string& flag, const std::string& name) {
    const ToolResult result = train({"--inspect", "1", "data.template=chat", flag, path(name)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string expected = inspected("--chat-template", "unix.jinja");
  EXPECT_THAT(expected, HasSubstr("<|im_start|> u  s  er"));
  EXPECT_EQ(inspected("--chat-template", "windows.jinja"), expected);
  EXPECT_EQ(inspected("--template", "unix.jinja"), expected);  // its older name
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

TEST_F(TrainTool, FlagsWithoutEffectAreTold) {
  for (const std::string mode : {"--validate", "--estimate", "--print-config"}) {
    const ToolResult result = train({mode, "--profile", path("trace.json")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.err, "cpx-train: [command line] --profile: has no effect with " + mode +
                              ": nothing is trained. Leave it out.\n");
  }
  EXPECT_THAT(train({"--print-config", "--overwrite"}).err,
              HasSubstr("[command line] --overwrite: has no effect with --print-config: nothing is "
                        "trained\n"));
  EXPECT_THAT(train({"--inspect", "1", "--resume", "auto"}).err,
              HasSubstr("[command line] --resume: has no effect with --inspect: nothing is "
                        "trained\n"));
  write("t.jinja", "{{ messages[0]['content'] }}");
  EXPECT_THAT(train({"--validate", "--template", path("t.jinja")}).out,
              HasSubstr("notice     [command line] --template: has no effect but on conversations: "
                        "data.template is "
                        "plain.\n"));
}

// ---- what goes wrong, one line each ------------------------------------------------------------

TEST_F(TrainTool, AMissingModelIsOneLine) {
  const ToolResult result = train({"model.path=nowhere"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-train: [read_tokenizer] nowhere: no such file or folder, expected a model folder "
            "or a .gguf.\n");
}

TEST_F(TrainTool, NoDataFilesIsOneLine) {
  const ToolResult result = train({"data.train=[" + path("none*.json") + "]"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [command line: data.train=[" + path("none*.json") +
                            "]] data.train: [" + path("none*.json") +
                            "] no file matches: got none, expected one or more.\n");
}

TEST_F(TrainTool, EmptyDataIsOneLine) {
  write("shard.json", "[]");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-train: [" + path("shard.json") + "] got an empty list, expected records.\n");
}

TEST_F(TrainTool, TargetsThatMatchNothingAreOneLineWithTheLayers) {
  const ToolResult result = train({"adapter.target_modules=[query]"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [attach_adapter] no linear layer is called 'query': expected all-linear or "
      "names among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head.\n");
}

TEST_F(TrainTool, AnOutputBelowAFileIsOneLine) {
  const ToolResult result = train({"training.output=" + path("shard.json") + "/run"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [training.output] '" + path("shard.json") +
                            "/run' cannot be made: Not a directory. Choose another folder.\n");
}

TEST_F(TrainTool, ATruncatedModelIsOneLine) {
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
  std::filesystem::resize_file(path("model/model.safetensors"), 5000);
  const ToolResult result = train({"model.path=" + path("model")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [safetensors] " + path("model/model.safetensors") +
                            ": 'lm_head.weight' ends 36864 bytes after the header, but only 2872 "
                            "bytes are there. The file is cut short; copy or download it again.\n");
}

TEST_F(TrainTool, FaultsOfAConfigAreToldAllAtOnce) {
  write("config.yaml",
        "model: {path: m}\nmodel: {path: n}\ndata: {train: [x.json], max_tokens: many}\n"
        "training:\n\toutput: x\n  grups: 2\n");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 2);
  const std::string at = "cpx-train: [" + path("config.yaml");
  // What stands beside a tab of a broken text is not known.
  EXPECT_EQ(result.err, at + ":5] the indentation: got a tab, expected spaces.\n");

  write("config.yaml",
        "model: {path: m}\nmodel: {path: n}\ndata: {train: [x.json], max_tokens: many}\n"
        "training:\n\toutput: x\noptimizer: {lrr: 1}\n");
  const ToolResult all = train();
  EXPECT_EQ(all.exit_code, 2);
  EXPECT_EQ(all.err,
            at + ":5] the indentation: got a tab, expected spaces.\n" + at +
                ":2] model: the key is given twice: expected once (first: " + path("config.yaml") +
                ":1).\n" + at + ":3] data.max_tokens: got 'many', expected a whole number >= 2.\n" +
                at + ":6] optimizer.lrr: unknown key. Did you mean 'optimizer.lr'?\n");
}

TEST_F(TrainTool, TargetsMayBeLongerEndsOfNames) {
  const ToolResult result =
      train({"training.max_steps=1", "adapter.target_modules=[self_attn.q_proj, 1.mlp.up_proj]"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(TrainTool, EstimateWithATargetThatMatchesNothingIsWrongUsage) {
  const ToolResult result = train({"--estimate", "adapter.target_modules=[query]"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [attach_adapter] no linear layer is called 'query': expected all-linear or "
      "names among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head.\n");
}

TEST_F(TrainTool, EstimateTellsAFaultOfTheDataInsteadOfABound) {
  write("shard.json", "[{}]");
  const ToolResult result = train({"--estimate"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [" + path("shard.json") +
                            ": record 1] 'paraphrases' is missing (keys: none), expected a list of "
                            "texts or an object {text: score}. (1 more fault: --validate shows "
                            "all)\n");
}

// The published recipe needs 20 texts of 256 tokens a micro batch at most.
TEST_F(TrainTool, EstimateOfMistral7BNeedsItsConfigAlone) {
  const ToolResult result =
      run_tool("cpx-train", {"--config", "configs/mistral.yaml", "--estimate", "--device", "cpu",
                             "model.path=tests/fixtures/models/mistral_7b/config.json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("27.26 M values"), HasSubstr("5120 tokens at most (20 texts"),
                    HasSubstr("no data or tokenizer to measure: texts * data.max_tokens, an upper "
                              "bound"),
                    HasSubstr("A100 40 GB"), HasSubstr("A100 80 GB"), HasSubstr("  fits\n"),
                    HasSubstr("(on a GPU: computed, not run)")));
}

TEST_F(TrainTool, ValidateLooksAtTargetsWeightsAndOutputToo) {
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
  std::string text = read("model/config.json");
  const std::string size = "\"intermediate_size\": 48";
  text.replace(text.find(size), size.size(), "\"intermediate_size\": 40");
  write("model/config.json", text);
  const ToolResult result =
      train({"--validate", "model.path=" + path("model"), "adapter.target_modules=[query]",
             "training.output=" + path("shard.json") + "/run"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [load_model] " + path("model/model.safetensors") +
          ": 'model.layers.0.mlp.gate_proj.weight' is [48, 32], expected [40, 32] "
          "(config.json: intermediate_size 40).\n"
          "cpx-train: [attach_adapter] no linear layer is called 'query': expected all-linear "
          "or names among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head.\n"
          "cpx-train: [training.output] '" +
          path("shard.json") +
          "/run' cannot be made: Not a directory. Choose another folder.\n"
          "cpx-train: 3 faults found, nothing was trained.\n");
}

TEST_F(TrainTool, ValidateBesideARunSaysHowToGoOn) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  const ToolResult result = train({"--validate"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("holds a run: --resume auto goes on with it"));
}

TEST_F(TrainTool, AnOverwriteThatCannotBeginLeavesTheOldRun) {
  ASSERT_EQ(train({"training.max_steps=1"}).exit_code, 0);
  const std::string before = read("run/final/adapter_model.safetensors");
  EXPECT_EQ(train({"--overwrite", "adapter.target_modules=[query]"}).exit_code, 2);
  EXPECT_EQ(read("run/final/adapter_model.safetensors"), before);
  EXPECT_TRUE(exists("run/metrics.jsonl"));
}

TEST_F(TrainTool, ResumeIntoTheFolderOfAnotherRunIsAnError) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  const std::string other = "training.output=" + path("other");
  ASSERT_EQ(train({"training.max_steps=4", other}).exit_code, 0);
  const std::string metrics = read("other/metrics.jsonl");
  const ToolResult result = train({"--resume", path("run"), other});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-train: [training.output] '" + path("other") +
                "' holds a run: expected a new or empty folder. Use --resume auto to go "
                "on with it, or --overwrite to start anew.\n");
  EXPECT_EQ(read("other/metrics.jsonl"), metrics);
}

TEST_F(TrainTool, ACopiedCheckpointKnowsItsConfig) {
  ASSERT_EQ(train({"training.max_steps=2"}).exit_code, 0);
  std::filesystem::copy(path("run/checkpoints/step-000002"), path("copied"));
  const std::string fresh = "training.output=" + path("fresh");
  const ToolResult other = train({"--resume", path("copied"), fresh, "optimizer.lr=0.5"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_EQ(other.err,
            "cpx-train: [--resume] optimizer.lr: got 0.5, expected 0.01 (from the saved run).\n");
  EXPECT_EQ(train({"--resume", path("copied"), fresh, "training.max_steps=3"}).exit_code, 0);

  std::filesystem::remove(path("copied/config.yaml"));
  const ToolResult bare = train({"--resume", path("copied"), "training.output=" + path("bare")});
  EXPECT_EQ(bare.exit_code, 1);
  EXPECT_EQ(bare.err, "cpx-train: [--resume] '" + path("copied") +
                          "': there is no config.yaml, expected a checkpoint as cpx-train writes "
                          "it. Copy the whole folder.\n");
}

TEST_F(TrainTool, ResumeOfAModelWithOtherWeightsSaysSo) {
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
  const std::string here = "model.path=" + path("model");
  ASSERT_EQ(train({"training.max_steps=2", here}).exit_code, 0);
  std::string weights = read("model/model.safetensors");
  weights[weights.size() - 2] ^= 1;
  write("model/model.safetensors", weights);
  const ToolResult result = train({"--resume", "auto", here});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(last_line(result),
              MatchesRegex("cpx-train: .resume " + path("run/checkpoints/step-000002") +
                           ". model: got [0-9]+ bytes, [0-9a-f]{16}, expected [0-9]+ bytes, "
                           "[0-9a-f]{16} .from the saved run..\n"));
}

TEST_F(TrainTool, ATextWithoutAPredictedTokenIsLeftOutAndToldOnce) {
  write("shard.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": ["a", "b c d"],
                           "paraphrases_toxic": ["e f g", "h i j"]}])");
  const std::vector<std::string> no_eos = {"data.append_eos=false", "training.max_steps=3",
                                           "data.eval=[]"};
  auto validate = no_eos;
  validate.emplace_back("--validate");
  EXPECT_THAT(train(validate).out, HasSubstr("1 without a predicted token are left out"));
  const ToolResult result = train(no_eos);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string told = "paraphrases: text 1 has no predicted token and is left out (1 so far).";
  const size_t first = result.err.find(told);
  EXPECT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find(told, first + 1), std::string::npos) << result.err;
}

TEST_F(TrainTool, AnAdapterIsTrainedOn) {
  const std::string adapter = model() + "/adapter";
  const ToolResult result = train({"adapter.init_from=" + adapter, "training.max_steps=2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Its own rank and targets, not those of the config.
  const auto expected = nlohmann::json::parse(
      std::ifstream(std::string(CPX_SOURCE_DIR "/") + adapter + "/adapter_config.json"));
  const auto saved = nlohmann::json::parse(read("run/final/adapter_config.json"));
  EXPECT_EQ(saved["r"], expected["r"]);
  EXPECT_EQ(saved["target_modules"].size(), expected["target_modules"].size());
}

TEST_F(TrainTool, SeveralProcessesAreRefused) {
  const ToolResult result = train({}, {.environment = {"WORLD_SIZE=2"}});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-train: [WORLD_SIZE] got 2 processes, expected 1: several are not in this version. "
            "Start cpx-train by itself, without torchrun.\n");
}

// The limit is below the size of the optimizer's file, so that it is met in a checkpoint.
TEST_F(TrainTool, ADiskThatGetsFullInACheckpointLeavesTheLastOne) {
  ASSERT_EQ(train({"training.max_steps=2", "logging.tensorboard=false"}).exit_code, 0);
  const auto size = static_cast<int64_t>(
      std::filesystem::file_size(path("run/checkpoints/step-000002/optimizer.safetensors")));
  const ToolResult full =
      train({"--resume", "auto", "logging.tensorboard=false"}, {.file_bytes = size - 100});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(
      last_line(full),
      MatchesRegex("cpx-train: .write. " + path("run/checkpoints") +
                   "/.*optimizer.safetensors: cannot be written: File too large .[0-9]+ MiB "
                   "free there.. What was there before is untouched; free space or choose "
                   "another folder.\n"));
  EXPECT_FALSE(exists("run/checkpoints/step-000004"));
  EXPECT_EQ(train({"--resume", "auto", "logging.tensorboard=false"}).exit_code, 0);
}

}  // namespace train_tool_test
}  // namespace cpx::tests
