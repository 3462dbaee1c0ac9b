// SPDX-License-Identifier: Apache-2.0
// cpx-eval-safety as its user meets it.
#include <csignal>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace eval_safety_tool_test {

using Json = nlohmann::json;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

constexpr const char* kItems = "tests/fixtures/evaluation/safety_items.json";
constexpr const char* kAdapter = "tests/fixtures/models/llama_gqa/adapter";

class EvalSafetyTool : public TinyRun {
 protected:
  static ToolResult run(const std::vector<std::string>& arguments) {
    return run_tool("cpx-eval-safety", arguments);
  }

  // With the tiny model on the items of the fixture.
  static std::vector<std::string> measured(const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"--model", model(),   "--data",   kItems,
                                    "--dtype", "float32", "--device", "cpu"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(EvalSafetyTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--data"), HasSubstr("--perplexities"),
                                HasSubstr("--compare"), HasSubstr("Examples:")));
}

TEST_F(EvalSafetyTool, GivenPerplexitiesHaveTheScoresOfSafeNlp) {
  const ToolResult result =
      run({"--perplexities", kItems, "--resamples", "0", "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json report = Json::parse(read("report.json"));
  const Json expected = Json::parse(
      read_text_file(std::string(CPX_SOURCE_DIR) + "/tests/fixtures/evaluation/safety_score.json"));
  EXPECT_NEAR(report.at("average").get<double>(), expected.at("average").get<double>(), 1e-15);
  EXPECT_EQ(report.at("groups_counted"), expected.at("groups_counted"));
  EXPECT_EQ(report.at("kind"), "safety");
  EXPECT_TRUE(report.at("model").is_null());
  EXPECT_EQ(report.at("settings").at("perplexities"), kItems);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr(std::string("given    ") + kItems + "\n"), HasSubstr("gardeners"),
                    HasSubstr("average of the groups             0.2557\n"),
                    HasSubstr("left out\n  left-handed: not significant (p 0.536, score 0.4048); 7 "
                              "hate, 12 neutral\n"),
                    HasSubstr("  only hate: no neutral text; 4 hate, 0 neutral\n")));
}

TEST_F(EvalSafetyTool, ItemsOfAModelReadBackGiveItsScores) {
  const ToolResult result =
      run(measured({"--items", path("items.jsonl"), "--report", path("report.json")}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json report = Json::parse(read("report.json"));
  EXPECT_EQ(report.at("model"), model());
  EXPECT_TRUE(report.at("model_fingerprint").is_string());
  EXPECT_EQ(report.at("settings").at("data"), kItems);
  EXPECT_EQ(report.at("settings").at("dtype"), "float32");
  EXPECT_FALSE(exists("items.jsonl.journal"));
  const ToolResult again = run({"--perplexities", path("items.jsonl"), "--report", "-"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const Json read_back = Json::parse(again.out);
  EXPECT_EQ(read_back.at("groups"), report.at("groups"));
  EXPECT_EQ(read_back.at("average"), report.at("average"));
}

TEST_F(EvalSafetyTool, HateAloneMayBeScaled) {
  const auto average = [](const std::string& scale) {
    const ToolResult result = run({"--perplexities", kItems, "--scale", scale, "--report", "-"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json report = Json::parse(result.out);
    EXPECT_EQ(report.at("settings").at("scale"), scale);
    return report.at("average").get<double>();
  };
  EXPECT_LT(average("hate"), average("both"));
}

// cpx-eval-ppl gives a text the same perplexity.
TEST_F(EvalSafetyTool, PerplexitiesAreThoseOfTheTexts) {
  ASSERT_EQ(run(measured({"--items", path("items.jsonl")})).exit_code, 0);
  const Json item = Json::parse(read("items.jsonl").substr(0, read("items.jsonl").find('\n')));
  write("one.txt", item.at("text").get<std::string>() + "\n");
  const ToolResult one = eval_ppl({"--model", model(), "--dtype", "float32", "--neutral",
                                   path("one.txt"), "--report", path("one.json")});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  const double expected =
      Json::parse(read("one.json")).at("sides").at("neutral").at("perplexity").get<double>();
  EXPECT_NEAR(item.at("perplexity").get<double>(), expected, 1e-4 * expected);
}

TEST_F(EvalSafetyTool, AdaptersStandBesideTheBase) {
  const ToolResult result =
      run(measured({"--compare", kAdapter, kAdapter, "--report", path("report.json")}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json reports = Json::parse(read("report.json"));
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_TRUE(reports[0].at("adapter").is_null());
  EXPECT_EQ(reports[1].at("groups"), reports[2].at("groups"));
  EXPECT_NE(reports[0].at("groups"), reports[1].at("groups"));
  EXPECT_THAT(result.out, HasSubstr("adapter 2"));
  EXPECT_EQ(reports[1].at("change"), reports[2].at("change"));
  EXPECT_TRUE(reports[1].at("change").at("groups").at("cyclists").at("score").is_number());
  EXPECT_TRUE(reports[1].at("groups").at("cyclists").at("score_interval").is_object());
  EXPECT_EQ(reports[0].at("settings").at("resamples"), 1000);
}

TEST_F(EvalSafetyTool, AKilledRunGoesOnWithTheSameBytes) {
  std::string lines;
  for (int i = 0; i < 800; ++i) {
    lines += R"({"text": "Remark )" + std::to_string(i) + R"( on tea", "label": ")" +
             (i % 2 == 0 ? "hate" : "neutral") +
             R"(", "toxicity_score": 2, "target_groups": ["tea drinkers"]})" + "\n";
  }
  write("many.jsonl", lines);
  const auto arguments = [&](const std::string& items) {
    return std::vector<std::string>{"--model",        model(),   "--data",   path("many.jsonl"),
                                    "--dtype",        "float32", "--device", "cpu",
                                    "--batch-tokens", "64",      "--items",  path(items)};
  };
  ASSERT_EQ(run(arguments("whole.jsonl")).exit_code, 0);
  BackgroundTool tool("cpx-eval-safety", arguments("out.jsonl"));
  ASSERT_TRUE(tool.runs_until(
      [&] { return exists("out.jsonl.journal") && num_lines(read("out.jsonl.journal")) >= 60; }));
  tool.send(SIGTERM);
  const ToolResult stopped = tool.wait();
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, EndsWith("interrupted: no report was written; the same command goes on "
                                    "from there\n"));
  ASSERT_EQ(run(arguments("out.jsonl")).exit_code, 0);
  EXPECT_EQ(read("out.jsonl"), read("whole.jsonl"));
}

// ---- What goes wrong, one line each ------------------------------------------------------------

TEST_F(EvalSafetyTool, WithoutModelAndItemsItTellsBoth) {
  const ToolResult result = run({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-safety: [command line] --model: got nothing, expected a Hugging Face folder "
            "or a .gguf.\n"
            "cpx-eval-safety: [command line] no items: expected --data, or --perplexities.\n");
}

TEST_F(EvalSafetyTool, FlagsThatDoNotGoTogetherAreTold) {
  const ToolResult given = run({"--perplexities", kItems, "--model", model(), "--overwrite"});
  EXPECT_EQ(given.exit_code, 2);
  EXPECT_EQ(given.err,
            "cpx-eval-safety: [command line] --model: has no effect with --perplexities: no model "
            "computes. Leave it out.\n"
            "cpx-eval-safety: [command line] --overwrite: has no effect without --items. Leave it "
            "out.\n");
  const ToolResult scale = run({"--perplexities", kItems, "--scale", "neutral"});
  EXPECT_EQ(scale.exit_code, 2);
  EXPECT_EQ(scale.err,
            "cpx-eval-safety: [command line] --scale: got 'neutral', expected both or hate.\n");
  const ToolResult several = run(measured({"--compare", kAdapter, "--items", path("i.jsonl")}));
  EXPECT_EQ(several.exit_code, 2);
  EXPECT_EQ(several.err,
            "cpx-eval-safety: [command line] --items: got --compare beside it, expected one model: "
            "items have one perplexity.\n");
}

TEST_F(EvalSafetyTool, AFaultOfTheItemsIsOneLine) {
  write("bad.json", R"([{"text": "a", "label": "toxic", "toxicity_score": 1, "target_groups": []},
                        {"text": "a", "label": "hate", "toxicity_score": 1}])");
  const ToolResult result = run({"--model", model(), "--data", path("bad.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-safety: [" + path("bad.json") +
                            ": item 1] 'label' is 'toxic', expected 'hate' or 'neutral'. (1 "
                            "more fault)\n");
}

TEST_F(EvalSafetyTool, PerplexitiesWithoutPerplexitiesAreOneLine) {
  write("bad.json", R"([{"label": "hate", "toxicity_score": 1, "target_groups": ["g"]}])");
  const ToolResult result = run({"--perplexities", path("bad.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-safety: [" + path("bad.json") +
                            ": item 1] 'perplexity' is missing (keys: label, toxicity_score, "
                            "target_groups), expected a number above 0, or NaN.\n");
}

TEST_F(EvalSafetyTool, AReportInPlaceOfTheItemsIsRefused) {
  write("p.json", "[]");
  const ToolResult result = run({"--perplexities", path("p.json"), "--report", path("p.json")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "cpx-eval-safety: [--report] '" + path("p.json") +
                            "' is also --perplexities, which is read, expected another file.\n");
}

}  // namespace eval_safety_tool_test
}  // namespace cpx::tests
