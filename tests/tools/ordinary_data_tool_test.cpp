// SPDX-License-Identifier: Apache-2.0
// cpx-train on data as others have them: texts, completions, conversations, labelled answers.
#include <cmath>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace ordinary_data_tool_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class OrdinaryData : public TinyRun {
 protected:
  OrdinaryData() {
    use("name: sft");
    write("texts.txt", "The bus was late again.\nWe walk to the station.\nRain came at noon.\n");
    write("pairs.jsonl",
          "{\"prompt\": \"Where is it?\", \"completion\": \" On the desk.\"}\n"
          "{\"prompt\": \"Who was here?\", \"completion\": \" The porter.\"}\n");
    write("talk.jsonl",
          "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", "
          "\"content\": \"Good day\"}]}\n"
          "{\"messages\": [{\"role\": \"user\", \"content\": \"Bye\"}, {\"role\": \"assistant\", "
          "\"content\": \"See you\"}]}\n");
    write("labels.jsonl",
          "{\"prompt\": \"Ask: \", \"completion\": \"May I?\", \"label\": true}\n"
          "{\"prompt\": \"Ask: \", \"completion\": \"Give it!\", \"label\": false}\n"
          "{\"prompt\": \"Say: \", \"completion\": \"Thank you\", \"label\": true}\n"
          "{\"prompt\": \"Say: \", \"completion\": \"So what\", \"label\": false}\n");
  }

  std::string files(const std::string& key, const std::string& name) const {
    return "data." + key + "=[" + path(name) + "]";
  }
  // The same file to train and to evaluate on.
  ToolResult train_on(const std::string& name, std::vector<std::string> more = {}) const {
    more.push_back(files("train", name));
    more.push_back(files("eval", name));
    return train(more);
  }
};

TEST_F(OrdinaryData, EachFormTrainsAndIsEvaluatedByItsPerplexity) {
  for (const char* name : {"texts.txt", "pairs.jsonl", "talk.jsonl"}) {
    SCOPED_TRACE(name);
    const ToolResult result = train_on(name, {"--overwrite", "model.dtype=float32"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(steps("run").size(), 6);
    EXPECT_THAT(result.err, AllOf(HasSubstr(", perplexity "), Not(HasSubstr("toxic"))));
    EXPECT_THAT(read("run/metrics.jsonl"), HasSubstr("\"eval_perplexity\":"));
    EXPECT_TRUE(exists("run/best/adapter_model.safetensors"));
  }
}

TEST_F(OrdinaryData, SeveralFormsMayBeMixedFileByFile) {
  const ToolResult result =
      train({"data.train=[" + path("texts.txt") + "," + path("talk.jsonl") + "]", "data.eval=[]",
             "evaluation.every_steps=0", "--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("train      2 files, 3 texts, 2 conversations; 0 left out; "));
}

TEST_F(OrdinaryData, ValidateTellsFormsAndCounts) {
  const ToolResult result = train_on("pairs.jsonl", {"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("train      1 file, 2 completions; 0 left out; "),
                                HasSubstr("tokens predicted\n"),
                                HasSubstr("1 micro batch of 2 texts in a step")));
}

TEST_F(OrdinaryData, InspectShowsEachFormWithItsMask) {
  const ToolResult text = train_on("texts.txt", {"--inspect", "1"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("Example 1 of 3 (epoch 0): "), HasSubstr("\ntext: "),
                              HasSubstr("  mask    0 ")));
  const ToolResult completion = train_on("pairs.jsonl", {"--inspect", "1"});
  EXPECT_THAT(completion.out, HasSubstr("\ncompletion: "));
  const ToolResult talk = train_on("talk.jsonl", {"--inspect", "1"});
  EXPECT_THAT(talk.out, AllOf(HasSubstr("\nconversation: "), HasSubstr("<|im_end|>")));
}

TEST_F(OrdinaryData, AMetricOfTwoSidesIsAFault) {
  const ToolResult result = train_on("texts.txt", {"evaluation.metric=separation"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(
      result.err,
      "cpx-train: [command line: evaluation.metric=separation] evaluation.metric: got "
      "separation, expected loss: the texts of data.eval have no toxic side. Contrast records "
      "have one.\n");
}

TEST_F(OrdinaryData, TextsBesideContrastRecordsAreAFault) {
  const ToolResult result = train({files("train", "texts.txt")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: [" + path("config.yaml") + ":6] data.eval: got texts in '" +
                            path("texts.txt") + "' and contrast records in '" + path("eval.json") +
                            "', expected files of one kind.\n");
}

TEST_F(OrdinaryData, TextsWithoutAPredictedTokenAreLeftOutAndTold) {
  write("talk.jsonl",
        read("talk.jsonl") + "{\"messages\": [{\"role\": \"user\", \"content\": \"Anyone?\"}]}\n");
  const ToolResult result = train_on("talk.jsonl", {"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("notice     [data] 1 of 3 texts are left out: no token of theirs is "
                        "predicted within data.max_tokens 48 (first: " +
                        path("talk.jsonl") + ": record 3, line 3).\n"));
}

TEST_F(OrdinaryData, NothingToPredictIsOneClearLine) {
  write("talk.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"Anyone?\"}]}\n");
  const ToolResult result = train_on("talk.jsonl");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-train: [data] none of 1 text has a predicted token within data.max_tokens 48 "
            "(first: " +
                path("talk.jsonl") + ": record 1, line 1).\n");
}

TEST_F(OrdinaryData, AResumedRunEqualsTheUninterruptedOne) {
  const std::vector<std::string> fresh = {
      "--overwrite", "model.dtype=float32",        "--threads",
      "1",           files("train", "talk.jsonl"), "data.eval=[]"};
  for (const char* objective : {"name: sft", "name: kto"}) {
    SCOPED_TRACE(objective);
    use(objective);
    auto whole = fresh;
    if (std::string(objective) == "name: kto") whole[4] = files("train", "labels.jsonl");
    ASSERT_EQ(train(whole).exit_code, 0);
    const std::string final = read("run/final/adapter_model.safetensors");
    auto shorter = whole;
    shorter.emplace_back("training.max_steps=4");
    ASSERT_EQ(train(shorter).exit_code, 0);
    const ToolResult resumed =
        train({"--resume", "auto", "--threads", "1", whole[4], "data.eval=[]"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(read("run/final/adapter_model.safetensors"), final);
  }
}

// ---- Conversations under other objectives -------------------------------------------------------

TEST_F(OrdinaryData, ConversationsArePreferences) {
  use("name: dpo");
  write("talk.jsonl",
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"The pen?\"}], \"chosen\": [{\"role\": "
        "\"assistant\", \"content\": \"Here you are\"}], \"rejected\": [{\"role\": \"assistant\", "
        "\"content\": \"No\"}]}\n");
  const ToolResult result = train_on("talk.jsonl", {"model.dtype=float32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NEAR(steps("run")[0].at("loss").get<double>(), std::log(2.0), 1e-6);
}

// A fresh adapter is its own reference: the KL term is 0 and the first step's loss 1/2.
TEST_F(OrdinaryData, KtoStartsAtOneHalf) {
  use("name: kto");
  const ToolResult result = train_on("labels.jsonl", {"model.dtype=float32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto all = steps("run");
  ASSERT_EQ(all.size(), 6);
  EXPECT_NEAR(all[0].at("loss").get<double>(), 0.5, 1e-6);
  EXPECT_NEAR(all[0].at("kl").get<double>(), 0.0, 1e-5);
  EXPECT_LT(all[5].at("loss").get<double>(), 0.5);
  EXPECT_TRUE(exists("run/reference_nll.bin"));
}

TEST_F(OrdinaryData, KtoTakesContrastRecordsToo) {
  use("name: kto, desirable_per_prompt: 0, undesirable_per_prompt: 2");
  const ToolResult result = train({"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("train      1 file, 7 prompts: 7 used, 0 skipped; 35 answers an "
                              "epoch: 21 desirable, 14 undesirable\n"),
                    HasSubstr("notice     [kto] 21 desirable and 14 undesirable answers with the "
                              "weights 1 and 1: the paper has the desirable ones weigh 1 to 4/3 "
                              "times the others in all, which objective.desirable_weight 0.667 to "
                              "0.889 would give.\n")));
}

TEST_F(OrdinaryData, KtoInspectShowsLabels) {
  use("name: kto");
  const ToolResult result = train_on("labels.jsonl", {"--inspect", "4"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("Answer 1 of 4 (epoch 0): "), HasSubstr("\ndesirable: "),
                                HasSubstr("\nundesirable: ")));
}

TEST_F(OrdinaryData, KtoWithOneSideIsTold) {
  use("name: kto");
  write("labels.jsonl",
        "{\"prompt\": \"Ask: \", \"completion\": \"May I?\", \"label\": true}\n"
        "{\"prompt\": \"Say: \", \"completion\": \"Thank you\", \"label\": true}\n");
  const ToolResult result = train_on("labels.jsonl", {"--validate"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("notice     [kto] all answers are desirable, expected some of "
                                    "either side.\n"));
}

TEST_F(OrdinaryData, KtoNeedsTwoAnswersInAMicroBatch) {
  use("name: kto");
  const ToolResult result = train_on("labels.jsonl", {"training.groups=1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [command line: training.groups=1] training.groups: got 1 answers in a micro "
      "batch, expected 2 or more: kto's KL term is taken on each prompt with another one's "
      "answer.\n");
}

}  // namespace ordinary_data_tool_test
}  // namespace cpx::tests
