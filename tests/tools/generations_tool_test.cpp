// SPDX-License-Identifier: Apache-2.0
// cpx-train that writes texts after fixed prompts during a run: generations.jsonl.
#include <filesystem>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace generations_tool_test {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const char* const kPrompts =
    "training.save_samples.prompts=[Please hand me, 'It is \"late\", and']";

class GenerationsTool : public TinyRun {
 protected:
  ToolResult train_in_float32(std::vector<std::string> more) const {
    more.insert(more.end(), {"model.dtype=float32", "--threads", "2"});
    return train(more);
  }

  std::vector<nlohmann::json> generations(const std::string& run = "run") const {
    std::vector<nlohmann::json> found;
    std::istringstream lines(read(run + "/generations.jsonl"));
    for (std::string line; std::getline(lines, line);) found.push_back(nlohmann::json::parse(line));
    return found;
  }

  std::vector<double> losses(const std::string& run = "run") const {
    std::vector<double> values;
    for (const auto& step : steps(run)) values.push_back(step["loss"]);
    return values;
  }
};

TEST_F(GenerationsTool, ARunWritesTextsBesideItsMetrics) {
  const ToolResult result = train_in_float32(
      {kPrompts, "training.save_samples.every_steps=4", "training.save_samples.max_new_tokens=8"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("texts       " + output() + "/generations.jsonl\n"));
  EXPECT_THAT(result.err, HasSubstr("step 4: wrote 2 texts of training.save_samples in "));
  std::vector<int64_t> at;
  for (const auto& line : generations()) at.push_back(line["step"]);
  EXPECT_THAT(at, ElementsAre(0, 0, 4, 4, 6, 6));
  const nlohmann::json first = generations()[0];
  EXPECT_EQ(first.size(), 3);
  EXPECT_EQ(first["prompt"], "Please hand me");
  EXPECT_EQ(generations()[1]["prompt"], "It is \"late\", and");
  EXPECT_THAT(read("run/generations.jsonl"),
              testing::StartsWith(R"({"step":0,"prompt":"Please hand me","text":")"));
}

TEST_F(GenerationsTool, WithoutACadenceTheyComeWithEvaluations) {
  ASSERT_EQ(train_in_float32({kPrompts, "training.save_samples.max_new_tokens=4"}).exit_code, 0);
  std::vector<int64_t> at;
  for (const auto& line : generations()) at.push_back(line["step"]);
  EXPECT_THAT(at, ElementsAre(0, 0, 3, 3, 6, 6));
}

// The last texts are those of the adapter in final/.
TEST_F(GenerationsTool, TextsAreThoseOfCpxGenerate) {
  for (const std::string form : {"plain", "chat"}) {
    ASSERT_EQ(train_in_float32({"--overwrite", kPrompts, "training.save_samples.max_new_tokens=12",
                                "optimizer.lr=0.1", "data.template=" + form})
                  .exit_code,
              0);
    const ToolResult written = run_tool("cpx-generate", {"--model",
                                                         model(),
                                                         "--adapter",
                                                         output() + "/final",
                                                         "--device",
                                                         "cpu",
                                                         "--dtype",
                                                         "float32",
                                                         "--weights",
                                                         "float32",
                                                         "--template",
                                                         form,
                                                         "--temperature",
                                                         "0",
                                                         "--max-new-tokens",
                                                         "12",
                                                         "--prompt",
                                                         "Please hand me",
                                                         "--prompt",
                                                         "It is \"late\", and",
                                                         "--overwrite",
                                                         "--output",
                                                         path("written.jsonl")});
    ASSERT_EQ(written.exit_code, 0) << written.err;
    std::istringstream lines(read("written.jsonl"));
    std::vector<std::string> expected;
    for (std::string line; std::getline(lines, line);) {
      expected.push_back(nlohmann::json::parse(line)["text"]);
    }
    const auto all = generations();
    ASSERT_EQ(expected.size(), 2);
    EXPECT_EQ(all[4]["text"], expected[0]) << form;
    EXPECT_EQ(all[5]["text"], expected[1]) << form;
    EXPECT_NE(all[0]["text"], all[4]["text"]) << form;
  }
}

// Each objective in two steps: its losses are those of the same run without prompts.
TEST_F(GenerationsTool, EveryObjectiveTrainsBitForBitAsWithout) {
  int64_t num_configs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CPX_SOURCE_DIR "/configs/tiny")) {
    const std::string name = entry.path().stem();
    const auto run_of = [&](const std::string& folder, std::vector<std::string> more) {
      more.insert(more.begin(), {"--config", entry.path(), "--device", "cpu", "--threads", "2",
                                 "model.dtype=float32", "training.max_steps=2",
                                 "evaluation.every_steps=1", "training.output=" + path(folder)});
      return run_tool("cpx-train", more);
    };
    const ToolResult with = run_of(name, {kPrompts, "training.save_samples.max_new_tokens=4"});
    ASSERT_EQ(with.exit_code, 0) << name << ": " << with.err;
    ASSERT_EQ(run_of(name + "_without", {}).exit_code, 0) << name;
    EXPECT_EQ(losses(name), losses(name + "_without")) << name;
    EXPECT_TRUE(read(name + "/final/adapter_model.safetensors") ==
                read(name + "_without/final/adapter_model.safetensors"))
        << name;
    EXPECT_EQ(generations(name).size(), 2 * 3) << name;
    ++num_configs;
  }
  EXPECT_GE(num_configs, 13);
}

TEST_F(GenerationsTool, AResumedRunHasTheTextsOfTheUninterruptedOne) {
  const std::vector<std::string> settings = {kPrompts, "training.save_samples.every_steps=1",
                                             "training.save_samples.max_new_tokens=6"};
  ASSERT_EQ(train_in_float32(settings).exit_code, 0);
  const std::string whole = read("run/generations.jsonl");
  // Texts of steps past the checkpoint are written anew.
  std::filesystem::remove_all(path("run/checkpoints/step-000006"));
  auto resumed = settings;
  resumed.insert(resumed.begin(), {"--resume", "auto"});
  ASSERT_EQ(train_in_float32(resumed).exit_code, 0);
  EXPECT_EQ(read("run/generations.jsonl"), whole);
}

TEST_F(GenerationsTool, AnOverwrittenRunLeavesNoTexts) {
  ASSERT_EQ(train_in_float32({kPrompts, "training.max_steps=1"}).exit_code, 0);
  EXPECT_TRUE(exists("run/generations.jsonl"));
  ASSERT_EQ(train_in_float32({"--overwrite", "training.max_steps=1"}).exit_code, 0);
  EXPECT_FALSE(exists("run/generations.jsonl"));
}

TEST_F(GenerationsTool, PromptsMayStandInAFile) {
  write("prompts.jsonl", "{\"prompt\": \"Good morning\"}\n{\"prompt\": {\"text\": \"Hello\"}}\n");
  ASSERT_EQ(train_in_float32({"training.save_samples.prompt_file=" + path("prompts.jsonl"),
                              "training.save_samples.prompts=[First]",
                              "training.save_samples.max_new_tokens=4"})
                .exit_code,
            0);
  std::vector<std::string> prompts;
  for (const auto& line : generations()) prompts.push_back(line["prompt"]);
  prompts.resize(3);
  EXPECT_THAT(prompts, ElementsAre("First", "Good morning", "Hello"));
}

// ---- Faults -------------------------------------------------------------------------------------

// The context of the tiny model is 256 tokens.
TEST_F(GenerationsTool, PromptsThatDoNotFitAreToldBeforeAnythingIsTrained) {
  write("prompts.json", R"(["", "fine"])");
  const std::vector<std::string> settings = {
      "training.save_samples.prompts=[fine, '12345678']",
      "training.save_samples.max_new_tokens=250",
      "training.save_samples.prompt_file=" + path("prompts.json")};
  const std::string first = "cpx-train: [command line: " + settings[0] +
                            "] training.save_samples.prompts: prompt 2: got 8 tokens, expected 1 "
                            "to 6 (the model's context of 256 "
                            "less training.save_samples.max_new_tokens 250).";
  const std::string second =
      "[" + path("prompts.json") +
      "] prompt 1: got 0 tokens, expected 1 to 6 (the model's context of 256 less "
      "training.save_samples.max_new_tokens 250).";
  const ToolResult run = train(settings);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(last_line(run), first + " (1 more fault: --validate shows all)\n");
  EXPECT_FALSE(exists("run/metrics.jsonl"));

  auto validate = settings;
  validate.insert(validate.begin(), "--validate");
  const ToolResult validated = train(validate);
  EXPECT_EQ(validated.exit_code, 1);
  EXPECT_EQ(validated.err, first + "\ncpx-train: " + second +
                               "\ncpx-train: 2 faults found, nothing was trained.\n");
}

TEST_F(GenerationsTool, MoreNewTokensThanTheContextHasAreRefused) {
  const ToolResult result = train({kPrompts, "training.save_samples.max_new_tokens=256"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-train: [command line: training.save_samples.max_new_tokens=256] "
            "training.save_samples.max_new_tokens: "
            "got 256, expected less than 256 (the model's context, which holds the prompt too).\n");
}

TEST_F(GenerationsTool, APromptFileWithoutPromptsIsRefused) {
  write("none.json", "[]");
  const ToolResult result = train({"training.save_samples.prompt_file=" + path("none.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-train: [" + path("none.json") + "] got an empty list, expected texts.\n");
}

TEST_F(GenerationsTool, BadKeysAreToldByValidate) {
  const ToolResult result = train({"--validate", kPrompts, "training.save_samples.every_steps=-1",
                                   "training.save_samples.max_new_tokens=0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-train: [command line: training.save_samples.every_steps=-1] "
            "training.save_samples.every_steps: got "
            "'-1', expected a whole number >= 0 or null.\n"
            "cpx-train: [command line: training.save_samples.max_new_tokens=0] "
            "training.save_samples.max_new_tokens: got "
            "'0', expected a whole number >= 1.\n"
            "cpx-train: 2 faults found, nothing was trained.\n");
}

TEST_F(GenerationsTool, ValidateDescribesGoodPrompts) {
  const ToolResult result = train({"--validate", kPrompts});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              HasSubstr("\nsamples    2 prompts of at most 13 tokens, 64 new ones; every 3 "
                        "steps\n"));
}

}  // namespace generations_tool_test
}  // namespace cpx::tests
