// SPDX-License-Identifier: Apache-2.0
// cpx-train with preference objectives, and every tiny config, as a user meets them.
#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace preference_tool_test {

using testing::AllOf;
using testing::HasSubstr;

class PreferenceTool : public TinyRun {
 protected:
  PreferenceTool() { use("name: dpo"); }
};

// A fresh adapter is its own reference: the first step's loss is log 2, whatever the pairs.
TEST_F(PreferenceTool, DpoStartsAtLogTwoAndToldWhatTheReferenceIs) {
  const ToolResult result = train({"model.dtype=float32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("reference the base model (the adapter starts at zero)"));
  const auto all = steps("run");
  ASSERT_EQ(all.size(), 6);
  EXPECT_NEAR(all[0].at("loss").get<double>(), std::log(2.0), 1e-6);
  for (const char* key : {"reward_accuracy", "reward_chosen", "reward_rejected", "reward_margin"}) {
    EXPECT_TRUE(all[5].contains(key)) << key;
  }
  EXPECT_TRUE(exists("run/reference_nll.bin"));
  EXPECT_TRUE(exists("run/final/adapter_model.safetensors"));
}

TEST_F(PreferenceTool, CacheAndSharedPromptsChangeNoLoss) {
  const std::vector<std::string> fresh = {"--overwrite", "model.dtype=float32",
                                          "adapter.dropout=0"};
  const auto losses_with = [&](const std::string& setting) {
    auto arguments = fresh;
    if (!setting.empty()) arguments.push_back(setting);
    const ToolResult result = train(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<double> losses;
    for (const auto& step : steps("run")) losses.push_back(step.at("loss"));
    return losses;
  };
  const auto computed = losses_with("");
  const auto cached = losses_with("");  // --overwrite leaves the cache
  const auto uncached = losses_with("objective.cache_reference=false");
  const auto apart = losses_with("objective.share_prompts=false");
  ASSERT_EQ(computed.size(), 6);
  EXPECT_EQ(cached, computed);
  for (size_t i = 0; i < computed.size(); ++i) {
    EXPECT_NEAR(uncached[i], computed[i], 1e-5) << i;
    EXPECT_NEAR(apart[i], computed[i], 1e-5) << i;
  }
}

TEST_F(PreferenceTool, AResumedRunEqualsTheUninterruptedOne) {
  const std::vector<std::string> fresh = {"--overwrite", "model.dtype=float32", "--threads", "1"};
  ASSERT_EQ(train(fresh).exit_code, 0);
  const std::string final = read("run/final/adapter_model.safetensors");
  auto shorter = fresh;
  shorter.emplace_back("training.max_steps=4");
  ASSERT_EQ(train(shorter).exit_code, 0);
  const ToolResult resumed = train({"--resume", "auto", "--threads", "1"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read("run/final/adapter_model.safetensors"), final);
}

TEST_F(PreferenceTool, AnAdapterThatTrainingStartsFromIsTheReference) {
  ASSERT_EQ(train({"model.dtype=float32"}).exit_code, 0);
  const std::string adapter = "adapter.init_from=" + path("run/final");
  const ToolResult result = train(
      {adapter, "training.output=" + path("second"), "model.dtype=float32", "adapter.dropout=0"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("reference a frozen copy of the adapter that training starts "
                                    "from (" +
                                    path("run/final") + ")"));
  EXPECT_NEAR(steps("second")[0].at("loss").get<double>(), std::log(2.0), 1e-6);
}

TEST_F(PreferenceTool, AnotherReferenceAdapterIsTaken) {
  ASSERT_EQ(train({"model.dtype=float32"}).exit_code, 0);
  const ToolResult result = train({"objective.reference_adapter=" + path("run/final"),
                                   "training.output=" + path("second"), "model.dtype=float32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err,
              HasSubstr("reference the base model with the adapter " + path("run/final")));
  EXPECT_GT(std::abs(steps("second")[0].at("loss").get<double>() - std::log(2.0)), 1e-4);
}

TEST_F(PreferenceTool, ADamagedCacheIsNoticedAndMadeAnew) {
  ASSERT_EQ(train().exit_code, 0);
  const std::string cache = read("run/reference_nll.bin");
  write("run/reference_nll.bin", cache.substr(0, cache.size() / 2));
  const ToolResult result = train({"--overwrite"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("reference_nll.bin] the cache of NLLs is damaged"));
  EXPECT_EQ(read("run/reference_nll.bin").size(), cache.size());
}

TEST_F(PreferenceTool, InspectShowsPromptsAndAnswers) {
  const ToolResult result = train({"--inspect", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("Pair 1 of 7 (epoch 0): "), HasSubstr("Pair 2 of 7"),
                                HasSubstr("prompt of all answers: "), HasSubstr("chosen: "),
                                HasSubstr("rejected: ")));
}

TEST_F(PreferenceTool, ValidateAndEstimateCountPairs) {
  const ToolResult validated = train({"--validate"});
  EXPECT_EQ(validated.exit_code, 0) << validated.err;
  EXPECT_THAT(validated.out, AllOf(HasSubstr("7 prompts: 7 used, 0 skipped; 7 pairs an epoch"),
                                   HasSubstr("1 micro batch of 2 pairs in a step")));
  const ToolResult estimated = train({"--estimate"});
  EXPECT_EQ(estimated.exit_code, 0) << estimated.err;
  EXPECT_THAT(estimated.out, HasSubstr("7 pairs"));
}

TEST_F(PreferenceTool, AnswersThatAreInTrainAndEvalAreTold) {
  write("eval.json", read("shard.json"));
  const ToolResult result = train({"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("\nnotice     data.eval: 42 of 42 texts stand in data.train too: the "
                        "evaluation is not of held-out text alone. Hold out by text.\n"));
}

TEST_F(PreferenceTool, FilesOfPairsAreRead) {
  write("pairs.jsonl",
        "{\"prompt\": \"Ask for the pen: \", \"chosen\": \"May I have it?\", \"rejected\": \"Give "
        "it, fool\"}\n"
        "{\"input\": \"the lamp\", \"chosen\": \"Please hand it over.\", \"rejected\": \"Out with "
        "it!\"}\n");
  const ToolResult result = train({"data.train=[" + path("pairs.jsonl") + "]"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(PreferenceTool, PairsWithEqualAnswersAreOneClearLine) {
  write("pairs.jsonl",
        "{\"prompt\": \"Ask: \", \"chosen\": \"May I?\", \"rejected\": \"May I?\"}\n");
  const ToolResult result = train({"data.train=[" + path("pairs.jsonl") + "]"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-train: [preferences] 1 of 2 answers are left out: rejected, but equal to a chosen "
            "one of the same prompt (first: " +
                path("pairs.jsonl") + ": record 1, line 1). No pair is left.\n");
}

TEST_F(PreferenceTool, AnEmptyAnswerIsOneClearLine) {
  write("pairs.jsonl", "{\"prompt\": \"Ask: \", \"chosen\": \"\", \"rejected\": \"Now!\"}\n");
  const ToolResult result = train({"data.train=[" + path("pairs.jsonl") + "]"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-train: [" + path("pairs.jsonl") +
                ": record 1, line 1] 'chosen' is '', expected a text that is not blank.\n");
}

// The prompts of the folder's shard have some twenty tokens.
TEST_F(PreferenceTool, PromptsThatLeaveNoRoomAreOneClearLine) {
  const ToolResult result = train({"data.max_tokens=8", "objective.max_prompt_tokens=0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(
      result.err,
      "cpx-train: [preferences] 42 of 42 answers are left out: no token of theirs is left "
      "behind their prompt within max_tokens 8 (first: " +
          path("shard.json") +
          ": record 1 (id 'desk-0')). Raise max_tokens, or lower max_prompt_tokens (now 0; 0: "
          "no limit). No pair is left.\n");
}

TEST_F(PreferenceTool, SimpoTrainsWithoutAReference) {
  use("name: simpo, sft_weight: 0.1");
  const ToolResult result = train();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, testing::Not(HasSubstr("reference")));
  EXPECT_FALSE(exists("run/reference_nll.bin"));
}

// "The tiny configs run in seconds": each of them, as its own header says.
TEST_F(PreferenceTool, EveryTinyConfigTrains) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CPX_SOURCE_DIR "/configs/tiny")) {
    SCOPED_TRACE(entry.path().string());
    const std::string output = path("tiny-" + entry.path().stem().string());
    const ToolResult result =
        run_tool("cpx-train", {"--config", entry.path().string(), "training.output=" + output});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(std::filesystem::exists(output + "/final/adapter_model.safetensors"));
    ++count;
  }
  EXPECT_GE(count, 4);
}

}  // namespace preference_tool_test
}  // namespace cpx::tests
