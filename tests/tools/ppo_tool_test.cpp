// SPDX-License-Identifier: Apache-2.0
// cpx-train with PPO as a user meets it: configs/tiny/ppo.yaml.
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace ppo_tool_test {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream content(text);
  for (std::string line; std::getline(content, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

class PpoTool : public TinyRun {
 protected:
  ToolResult run(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"--config", CPX_SOURCE_DIR "/configs/tiny/ppo.yaml",
                                          "training.output=" + path(output)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_tool("cpx-train", arguments);
  }

  // The lines of metrics.jsonl without what the clock says.
  std::vector<nlohmann::json> repeatable(const std::string& output) const {
    auto lines = lines_of(read(output + "/metrics.jsonl"));
    for (auto& line : lines) {
      for (const char* key :
           {"tokens_per_second", "cpu_seconds", "mfu", "peak_memory_mib", "eval_seconds",
            "sampling_seconds", "scoring_seconds", "policy_seconds"}) {
        line.erase(key);
      }
    }
    return lines;
  }
};

TEST_F(PpoTool, TrainsAndTellsWhatItSampled) {
  const ToolResult result = run("run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("reference the base model (the adapter starts at zero)"));
  for (const char* name :
       {"run/final/value_head.safetensors", "run/best/value_head.safetensors",
        "run/final/adapter_model.safetensors", "run/checkpoints/step-000004/ppo_state.json"}) {
    EXPECT_TRUE(exists(name)) << name;
  }
  // Of a fresh adapter the first rollout's divergence is none.
  const auto metrics = repeatable("run");
  ASSERT_GE(metrics.size(), 2);
  EXPECT_EQ(metrics[0].at("step"), 0);
  EXPECT_NEAR(metrics[0].at("eval_kl").get<double>(), 0.0, 1e-5);
  EXPECT_NEAR(metrics[1].at("kl").get<double>(), 0.0, 1e-5);
  EXPECT_TRUE(metrics[1].at("reward_mean").is_number());
  size_t num_sampled = 0;
  for (const auto& line : lines_of(read("run/samples.jsonl"))) {
    num_sampled += line.contains("rollout") ? 1 : 0;
    EXPECT_TRUE(line.at("score").is_number());
    EXPECT_FALSE(line.at("prompt").get<std::string>().empty());
  }
  EXPECT_EQ(num_sampled, 2 * 4);  // two rollouts of four
}

// A reward model with one raw score, and an encoder with several labels.
TEST_F(PpoTool, AnyClassifierMayReward) {
  const std::vector<std::pair<std::string, std::string>> rewards = {
      {"llama_reward", "reward"}, {"bert_emotions", "odd"}, {"distilbert_cased", "toxicity"}};
  for (const auto& [model, label] : rewards) {
    const ToolResult result =
        run(model, {"reward.model=tests/fixtures/models/" + model, "reward.label=" + label,
                    "training.max_steps=1", "checkpoint.every_steps=0"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto samples = lines_of(read(model + "/samples.jsonl"));
    EXPECT_FALSE(samples.empty()) << model;
    for (const auto& line : samples) EXPECT_TRUE(line.at("score").is_number()) << model;
  }
}

// Two steps a rollout: three steps end in the middle of one.
TEST_F(PpoTool, ResumedEqualsUninterrupted) {
  const std::vector<std::string> settings = {"schedule.name=constant", "checkpoint.every_steps=1",
                                             "evaluation.every_steps=0"};
  const auto with = [&](const std::vector<std::string>& more) {
    auto all = settings;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(run("whole", settings).exit_code, 0);
  ASSERT_EQ(run("parts", with({"training.max_steps=3"})).exit_code, 0);
  const ToolResult resumed = run("parts", with({"training.max_steps=4", "--resume", "auto"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(read("parts/final/adapter_model.safetensors") ==
              read("whole/final/adapter_model.safetensors"));
  EXPECT_TRUE(read("parts/final/value_head.safetensors") ==
              read("whole/final/value_head.safetensors"));
  EXPECT_EQ(read("parts/samples.jsonl"), read("whole/samples.jsonl"));
  EXPECT_EQ(repeatable("parts"), repeatable("whole"));
}

TEST_F(PpoTool, ValidateTellsPromptsStepsAndReward) {
  const ToolResult result = run("run", {"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(ContainsRegex("train +[0-9]+ files, [0-9]+ prompts: [0-9]+ used, [0-9]+ "
                                  "shorter than 8 tokens"),
                    ContainsRegex("prompts of [0-9.]+ tokens on average, the longest 12; 6 to 8 "
                                  "new ones"),
                    HasSubstr("steps      4 in all"),
                    ContainsRegex("reward +tests/fixtures/models/roberta_two_labels")));
}

TEST_F(PpoTool, FaultsOfRewardAndLengthsAreTold) {
  ToolResult result =
      run("run", {"--validate", "reward.label=kind", "rollout.max_new_tokens=4000"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("[label] the classifier has no such label: got 'kind', expected 0 to "
                              "1 or a name of "),
                    ContainsRegex("\\[rollout\\] prompts of up to 12 tokens and 4000 new ones: got "
                                  "4012, expected at most [0-9]+")));
  result = run("run", {"rollout.batch_size=1000", "training.groups=2"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-train: [ppo] got 42 prompts to train on, expected at least 1000 for one rollout "
            "(rollout.batch_size). Lower it or add data.\n");
  result = run("run", {"objective.name=sft"});
  EXPECT_EQ(result.exit_code, 2);
  const std::string at = "cpx-train: [" CPX_SOURCE_DIR "/configs/tiny/ppo.yaml:";
  EXPECT_EQ(
      result.err,
      at + "17] objective.ppo_epochs: a key of ppo, but objective.name is sft.\n" + at +
          "18] rollout: a section of ppo, but objective.name is sft.\n" + at +
          "24] reward: a section of ppo, but objective.name is sft.\n" + at +
          "35] evaluation.metric: got score, expected loss, separation or ratio: only ppo has "
          "scores.\n");
}

TEST_F(PpoTool, AWordListMayTakeTheClassifiersPlace) {
  const ToolResult result = run("run", {"reward.model=null", "reward.words=[the]",
                                        "reward.scale=-1", "training.max_steps=1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(PpoTool, InspectShowsPromptsAsPieces) {
  const ToolResult result = run("run", {"--inspect", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(ContainsRegex("Prompt 1 of [0-9]+ \\(epoch 0\\): .*, [0-9]+ tokens"),
                    HasSubstr("\nPrompt 2 of ")));
}

TEST_F(PpoTool, EstimateTellsWhatItDoesNotCount) {
  const ToolResult result = run("run", {"--estimate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("micro batch 39 tokens at most (2 texts, the longest 20)"),
                    ContainsRegex("not counted: keys and values of a rollout, [0-9]+ MiB in "
                                  "float32; the classifier")));
}

}  // namespace ppo_tool_test
}  // namespace cpx::tests
