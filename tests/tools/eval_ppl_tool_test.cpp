// SPDX-License-Identifier: Apache-2.0
// cpx-eval-ppl as its user meets it.
#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace eval_ppl_tool_test {

using testing::AllOf;
using testing::HasSubstr;

using EvalPplTool = TinyRun;

TEST_F(EvalPplTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-eval-ppl", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--shards"), HasSubstr("--compare"),
                                HasSubstr("--window"), HasSubstr("Examples:")));
}

TEST_F(EvalPplTool, TheReportHasTheFieldsOfTheDesign) {
  const ToolResult result = eval_ppl(
      {"--model", model(), "--shards", path("eval.json"), "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("toxic"), HasSubstr("neutral"), HasSubstr("separation")));

  const auto report = nlohmann::json::parse(read("report.json"));
  EXPECT_EQ(report.at("model"), model());
  EXPECT_TRUE(report.at("adapter").is_null());
  for (const std::string side : {"toxic", "neutral"}) {
    const auto& figures = report.at("sides").at(side);
    EXPECT_EQ(figures.at("texts"), 9);
    EXPECT_EQ(figures.at("skipped"), 0);
    EXPECT_GT(figures.at("tokens").get<int64_t>(), 9);
    // The tiny model's weights are random: it can be no better than guessing among 288 tokens.
    EXPECT_GT(figures.at("perplexity").get<double>(), 100.0);
    EXPECT_GT(figures.at("mean_text_perplexity").get<double>(), 100.0);
  }
  const double ratio = report.at("sides").at("toxic").at("perplexity").get<double>() /
                       report.at("sides").at("neutral").at("perplexity").get<double>();
  EXPECT_NEAR(report.at("ratio").get<double>(), ratio, 1e-9);
  EXPECT_GE(report.at("separation").get<double>(), 0.0);
  EXPECT_LE(report.at("separation").get<double>(), 1.0);
  EXPECT_TRUE(report.at("p_value").is_number());
  EXPECT_EQ(report.at("groups").size(), 1);
  EXPECT_TRUE(report.at("groups").contains("shelf"));
}

TEST_F(EvalPplTool, FilesOfTorchSaveGiveTheFiguresOfTheirSafetensors) {
  namespace fs = std::filesystem;
  const auto figures = [&](const std::string& folder, const std::string& adapter) {
    const ToolResult result = eval_ppl({"--model", folder, "--adapter", adapter, "--shards",
                                        path("eval.json"), "--report", path("report.json")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(read("report.json")).at("sides").dump();
  };
  const std::string torch = std::string(CPX_SOURCE_DIR) + "/tests/fixtures/torch/llama_gqa/";
  fs::create_directories(path("pickled/adapter"));
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(fs::path(CPX_SOURCE_DIR) / model() / name, path("pickled/") + name);
  }
  fs::copy_file(torch + "pytorch_model.bin", path("pickled/pytorch_model.bin"));
  fs::copy_file(fs::path(CPX_SOURCE_DIR) / model() / "adapter/adapter_config.json",
                path("pickled/adapter/adapter_config.json"));
  fs::copy_file(torch + "adapter_model.bin", path("pickled/adapter/adapter_model.bin"));
  EXPECT_EQ(figures(path("pickled"), path("pickled/adapter")),
            figures(model(), model() + "/adapter"));
}

TEST_F(EvalPplTool, BatchSizeDoesNotChangeTheFigures) {
  const std::vector<std::string> arguments = {"--model", model(), "--shards", path("eval.json"),
                                              "--report"};
  auto one = arguments;
  one.insert(one.end(), {path("one.json"), "--batch-tokens", "1"});
  auto all = arguments;
  all.insert(all.end(), {path("all.json"), "--batch-tokens", "100000"});
  ASSERT_EQ(eval_ppl(one).exit_code, 0);
  ASSERT_EQ(eval_ppl(all).exit_code, 0);
  const auto first = nlohmann::json::parse(read("one.json"));
  const auto second = nlohmann::json::parse(read("all.json"));
  for (const std::string side : {"toxic", "neutral"}) {
    const double a = first.at("sides").at(side).at("perplexity").get<double>();
    const double b = second.at("sides").at(side).at("perplexity").get<double>();
    EXPECT_NEAR(a, b, 1e-5 * b);
  }
}

TEST_F(EvalPplTool, PlainTextFilesAreReadALineEach) {
  write("toxic.txt", "Out of my way, fool\nNot again, you\n");
  write("neutral.txt", "Good morning to all\n\nThe kettle is on\nThank you\n");
  const ToolResult result = eval_ppl({"--model", model(), "--toxic", path("toxic.txt"), "--neutral",
                                      path("neutral.txt"), "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = nlohmann::json::parse(read("report.json"));
  EXPECT_EQ(report.at("sides").at("toxic").at("texts"), 2);
  EXPECT_EQ(report.at("sides").at("neutral").at("texts"), 3);
}

TEST_F(EvalPplTool, TextsThatRepeatAreTold) {
  write("neutral.txt", "Good morning to all\nThe kettle is on\nGood morning to all\n");
  const ToolResult result = eval_ppl(
      {"--model", model(), "--neutral", path("neutral.txt"), "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("neutral  3 texts (2 different), "));
  const auto sides = nlohmann::json::parse(read("report.json")).at("sides");
  EXPECT_EQ(sides.at("neutral").at("texts"), 3);
  EXPECT_EQ(sides.at("neutral").at("distinct_texts"), 2);
}

TEST_F(EvalPplTool, AppendEosAddsATokenToEachText) {
  const std::vector<std::string> arguments = {"--model", model(), "--shards", path("eval.json"),
                                              "--report"};
  auto with = arguments;
  with.insert(with.end(), {path("with.json"), "--append-eos"});
  auto without = arguments;
  without.emplace_back(path("without.json"));
  ASSERT_EQ(eval_ppl(with).exit_code, 0);
  ASSERT_EQ(eval_ppl(without).exit_code, 0);
  const auto tokens = [&](const std::string& file) {
    return nlohmann::json::parse(read(file)).at("sides").at("toxic").at("tokens").get<int64_t>();
  };
  EXPECT_EQ(tokens("with.json"), tokens("without.json") + 9);
}

TEST_F(EvalPplTool, CompareShowsBaseAndAdapterSideBySide) {
  ASSERT_EQ(train({"training.max_steps=3"}).exit_code, 0);
  const ToolResult result = eval_ppl({"--model", model(), "--shards", path("eval.json"),
                                      "--compare", path("run/final"), "--report", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("run/final"));
}

TEST_F(EvalPplTool, AnAdapterChangesTheFigures) {
  ASSERT_EQ(train({"training.max_steps=3"}).exit_code, 0);
  const std::vector<std::string> arguments = {"--model", model(), "--shards", path("eval.json"),
                                              "--report"};
  auto base = arguments;
  base.emplace_back(path("base.json"));
  auto adapted = arguments;
  adapted.insert(adapted.end(), {path("adapted.json"), "--adapter", path("run/final")});
  ASSERT_EQ(eval_ppl(base).exit_code, 0);
  ASSERT_EQ(eval_ppl(adapted).exit_code, 0);
  const auto before = nlohmann::json::parse(read("base.json"));
  const auto after = nlohmann::json::parse(read("adapted.json"));
  EXPECT_NE(before.at("sides").at("toxic").at("perplexity"),
            after.at("sides").at("toxic").at("perplexity"));
  EXPECT_EQ(after.at("adapter"), path("run/final"));
}

TEST_F(EvalPplTool, PublishedModeScoresTheJoinedTexts) {
  const ToolResult result = eval_ppl({"--model", model(), "--shards", path("eval.json"), "--mode",
                                      "published", "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto report = nlohmann::json::parse(read("report.json"));
  EXPECT_TRUE(report.at("sides").at("toxic").at("perplexity").is_number());
  // One text a side: there are no texts to compare.
  EXPECT_TRUE(report.at("sides").at("toxic").at("mean_text_perplexity").is_null());
  EXPECT_TRUE(report.at("separation").is_null());
  EXPECT_TRUE(report.at("p_value").is_null());
}

// ---- what goes wrong, one line each ------------------------------------------------------------

TEST_F(EvalPplTool, WithoutModelAndTextsItTellsBoth) {
  const ToolResult result = run_tool("cpx-eval-ppl", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-eval-ppl: [command line] --model: got nothing, expected a Hugging Face folder or a "
      ".gguf.\n"
      "cpx-eval-ppl: [command line] no texts: expected --shards, or --toxic and --neutral (or "
      "one of them).\n");
}

TEST_F(EvalPplTool, AnUnknownModeIsWrongUsage) {
  const ToolResult result =
      eval_ppl({"--model", model(), "--shards", path("eval.json"), "--mode", "fast"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-ppl: [command line] --mode: got 'fast', expected texts or published.\n");
}

TEST_F(EvalPplTool, AMissingTextFileIsOneLine) {
  const ToolResult result = eval_ppl({"--model", model(), "--toxic", path("nothing.txt")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-ppl: [read] " + path("nothing.txt") +
                            ": cannot be read: No such file or directory.\n");
}

TEST_F(EvalPplTool, AFolderThatIsNoAdapterIsOneLine) {
  const ToolResult result =
      eval_ppl({"--model", model(), "--adapter", path("nowhere"), "--shards", path("eval.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result), "cpx-eval-ppl: [read] " + path("nowhere/adapter_config.json") +
                                   ": cannot be read: No such file or directory.\n");
}

TEST_F(EvalPplTool, AReportThatCannotBeWrittenIsOneLine) {
  const ToolResult result = eval_ppl(
      {"--model", model(), "--shards", path("eval.json"), "--report", path("no/such/report.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-ppl: [--report] '" + path("no/such/report.json") +
                            "' cannot be written: there is no folder '" + path("no/such") +
                            "'. Make it first.\n");
}

TEST_F(EvalPplTool, FlagsWithoutEffectAreTold) {
  const std::vector<std::string> published = {"--model",     model(),  "--neutral",
                                              path("x.txt"), "--mode", "published"};
  auto refused = published;
  refused.insert(refused.end(), {"--window", "64", "--stride", "8", "--max-tokens", "9"});
  const ToolResult result = eval_ppl(refused);
  EXPECT_EQ(result.exit_code, 2);
  const auto line = [](const std::string& flag) {
    return "cpx-eval-ppl: [command line] " + flag +
           ": has no effect with --mode published: windows of 4096, stride 512. Leave it out.\n";
  };
  EXPECT_EQ(result.err, line("--max-tokens") + line("--window") + line("--stride"));

  write("x.txt", "The kettle\n");
  auto warned = published;
  warned.insert(warned.end(), {"--batch-tokens", "64"});
  const ToolResult done = eval_ppl(warned);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, testing::HasSubstr("[command line] --batch-tokens: has no effect with "
                                           "--mode published: windows of 4096, stride 512\n"));
}

}  // namespace eval_ppl_tool_test
}  // namespace cpx::tests
