// SPDX-License-Identifier: Apache-2.0
// cpx-eval-ppl as its user meets it.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <gmock/gmock.h>
#include <sstream>
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

// ---- Which texts -------------------------------------------------------------------------------

// The texts of the items file `name`, "side: text" each.
std::vector<std::string> sided_texts(const std::vector<nlohmann::json>& items) {
  std::vector<std::string> texts;
  for (const auto& item : items) {
    texts.push_back(item.at("side").get<std::string>() + ": " + item.at("text").get<std::string>());
  }
  return texts;
}

class EvalPplItems : public TinyRun {
 protected:
  static constexpr const char* kAdapter = "tests/fixtures/models/llama_gqa/adapter";

  // Runs the tool with --items and returns the objects of that file.
  std::vector<nlohmann::json> items(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--model", model(), "--items", path("items.jsonl")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ToolResult result = eval_ppl(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<nlohmann::json> objects;
    std::istringstream lines(read("items.jsonl"));
    for (std::string line; std::getline(lines, line);) objects.push_back(Json::parse(line));
    return objects;
  }

  std::vector<std::string> shards() const { return {"--shards", path("eval.json")}; }

  using Json = nlohmann::json;
};

TEST_F(EvalPplItems, EachTextHasItsLineAndTheReportIsTheirSum) {
  auto arguments = shards();
  arguments.insert(arguments.end(), {"--report", path("report.json"), "--append-eos"});
  const auto objects = items(arguments);
  ASSERT_EQ(objects.size(), 18U);
  const Json& first = objects.front();
  EXPECT_EQ(first.at("side"), "neutral");
  EXPECT_EQ(first.at("group"), "shelf");
  EXPECT_EQ(first.at("text"), "Please hand me thing 0");
  EXPECT_EQ(first.at("where"), path("eval.json") + ": record 1 (id 'shelf-0'): neutral text 1");
  EXPECT_TRUE(first.at("adapter").is_null());
  double nll = 0.0;
  double tokens = 0.0;
  for (const Json& one : objects) {
    EXPECT_NEAR(one.at("perplexity").get<double>(), std::exp(one.at("mean_nll").get<double>()),
                1e-9 * one.at("perplexity").get<double>());
    if (one.at("side") != "toxic") continue;
    nll += one.at("mean_nll").get<double>() * one.at("tokens").get<double>();
    tokens += one.at("tokens").get<double>();
  }
  const Json toxic = Json::parse(read("report.json")).at("sides").at("toxic");
  EXPECT_NEAR(toxic.at("perplexity").get<double>(), std::exp(nll / tokens), 1e-6);
  EXPECT_EQ(toxic.at("tokens"), tokens);
}

TEST_F(EvalPplItems, ATextWithNothingToPredictHasNoPerplexity) {
  write("neutral.txt", "T\nThe kettle\n");
  const auto objects = items({"--neutral", path("neutral.txt")});
  EXPECT_EQ(objects[0].at("tokens"), 0);
  EXPECT_TRUE(objects[0].at("mean_nll").is_null());
  EXPECT_TRUE(objects[0].at("perplexity").is_null());
  EXPECT_TRUE(objects[1].at("perplexity").is_number());
}

TEST_F(EvalPplItems, EveryModelHasItsLines) {
  auto arguments = shards();
  arguments.insert(arguments.end(), {"--compare", kAdapter, kAdapter, "--limit", "2"});
  const auto objects = items(arguments);
  ASSERT_EQ(objects.size(), 12U);
  EXPECT_TRUE(objects[3].at("adapter").is_null());
  EXPECT_EQ(objects[4].at("adapter"), kAdapter);
  EXPECT_EQ(objects[4].at("text"), objects[0].at("text"));
  EXPECT_NE(objects[4].at("mean_nll"), objects[0].at("mean_nll"));
  EXPECT_EQ(objects[8].at("mean_nll"), objects[4].at("mean_nll"));
}

TEST_F(EvalPplItems, ALimitDrawsTextsOfEachSideByTheSeed) {
  const auto draw = [&](const std::string& seed) {
    auto arguments = shards();
    arguments.insert(arguments.end(), {"--limit", "4", "--seed", seed});
    return sided_texts(items(arguments));
  };
  const auto drawn = draw("1");
  EXPECT_EQ(drawn.size(), 8U);
  EXPECT_EQ(std::ranges::count_if(drawn, [](const auto& text) { return text[0] == 't'; }), 4);
  EXPECT_EQ(drawn, draw("1"));
  EXPECT_NE(drawn, draw("2"));
  const auto all = sided_texts(items(shards()));
  size_t next = 0;  // the order is that of the files
  for (const std::string& text : all) next += next < drawn.size() && text == drawn[next] ? 1 : 0;
  EXPECT_EQ(next, drawn.size());
}

TEST_F(EvalPplItems, SomeTextsOfEachRecordAreDrawn) {
  auto arguments = shards();
  arguments.insert(arguments.end(), {"--num-toxic", "1", "--num-neutral", "2"});
  const auto objects = items(arguments);
  ASSERT_EQ(objects.size(), 9U);
  for (size_t i = 0; i < objects.size(); ++i) {
    EXPECT_EQ(objects[i].at("side"), i % 3 == 2 ? "toxic" : "neutral");
    EXPECT_THAT(objects[i].at("text").get<std::string>(),
                HasSubstr("thing " + std::to_string(i / 3)));
  }
}

TEST_F(EvalPplItems, ATextThatRepeatsInASideCountsOnceByChoice) {
  write("neutral.txt", "Good morning\nThe kettle is on\nGood morning\n");
  write("toxic.txt", "Good morning\n");
  const std::vector<std::string> files = {"--neutral", path("neutral.txt"), "--toxic",
                                          path("toxic.txt")};
  EXPECT_EQ(items(files).size(), 4U);
  auto distinct = files;
  distinct.emplace_back("--distinct");
  EXPECT_THAT(sided_texts(items(distinct)),
              testing::UnorderedElementsAre("toxic: Good morning", "neutral: Good morning",
                                            "neutral: The kettle is on"));
}

// ---- Intervals, several adapters, weights ------------------------------------------------------

TEST_F(EvalPplItems, SeveralAdaptersStandBesideTheFirst) {
  const ToolResult result =
      eval_ppl({"--model", model(), "--shards", path("eval.json"), "--compare", kAdapter,
                "--compare", kAdapter, "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("adapter 1"), HasSubstr("adapter 2"),
                                HasSubstr("    95 % interval ")));
  const Json reports = Json::parse(read("report.json"));
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_EQ(reports[1].at("change"), reports[2].at("change"));
  EXPECT_EQ(reports[1].at("sides"), reports[2].at("sides"));
  EXPECT_EQ(reports[0].at("kind"), "perplexity");
  EXPECT_FALSE(reports[0].contains("adapter_fingerprint"));
  EXPECT_EQ(reports[1].at("adapter_fingerprint"), reports[2].at("adapter_fingerprint"));
  EXPECT_EQ(reports[1].at("settings").at("resamples"), 1000);
  EXPECT_EQ(reports[1].at("settings").at("seed"), 42);
  const double before = reports[0].at("ratio").get<double>();
  const double after = reports[1].at("ratio").get<double>();
  EXPECT_NEAR(reports[1].at("change").at("ratio_percent").get<double>(),
              (after / before - 1.0) * 100.0, 1e-9);
}

TEST_F(EvalPplItems, WithoutResamplesThereIsNoInterval) {
  const ToolResult result = eval_ppl({"--model", model(), "--shards", path("eval.json"),
                                      "--resamples", "0", "--report", path("report.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find("interval"), std::string::npos);
  EXPECT_EQ(read("report.json").find("_interval"), std::string::npos);
}

TEST_F(EvalPplItems, QuantisedWeightsGiveFiguresNearTheDenseOnes) {
  const auto perplexity = [&](const std::string& weights) {
    const ToolResult result =
        eval_ppl({"--model", model(), "--shards", path("eval.json"), "--weights", weights,
                  "--adapter", kAdapter, "--report", path("report.json")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json report = Json::parse(read("report.json"));
    EXPECT_EQ(report.at("settings").at("weights"), weights);
    return report.at("sides").at("toxic").at("perplexity").get<double>();
  };
  const double dense = perplexity("float32");
  EXPECT_NEAR(perplexity("q8_0"), dense, 0.02 * dense);
  EXPECT_NEAR(perplexity("q4_0"), dense, 0.2 * dense);
  EXPECT_NE(perplexity("q4_0"), dense);
}

// ---- Stops -------------------------------------------------------------------------------------

// Small batches of many texts, so that there is time to stop.
class EvalPplJournal : public EvalPplItems {
 protected:
  EvalPplJournal() {
    std::string lines;
    for (int i = 0; i < 800; ++i) lines += "Line " + std::to_string(i) + " of plain text\n";
    write("many.txt", lines);
  }

  std::vector<std::string> arguments(const std::string& items) const {
    return {"--model",        model(),     "--neutral",   path("many.txt"),
            "--dtype",        "float32",   "--device",    "cpu",
            "--batch-tokens", "64",        "--compare",   kAdapter,
            "--items",        path(items), "--resamples", "0"};
  }

  // The journal of a run that was stopped by `signal` in its middle.
  std::string stopped_journal(int signal, ToolResult* result = nullptr) const {
    BackgroundTool tool("cpx-eval-ppl", arguments("out.jsonl"));
    EXPECT_TRUE(tool.runs_until(
        [&] { return exists("out.jsonl.journal") && num_lines(read("out.jsonl.journal")) >= 60; }));
    tool.send(signal);
    const ToolResult ended = tool.wait();
    if (result != nullptr) *result = ended;
    return read("out.jsonl.journal");
  }
};

TEST_F(EvalPplJournal, AKilledRunGoesOnWithTheSameBytes) {
  ASSERT_EQ(run_tool("cpx-eval-ppl", arguments("whole.jsonl")).exit_code, 0);
  EXPECT_FALSE(exists("whole.jsonl.journal"));
  const std::string journal = stopped_journal(SIGKILL);
  for (const size_t size : {journal.size(), journal.size() / 2, size_t{40}}) {
    write("out.jsonl.journal", journal.substr(0, size));
    const ToolResult again = run_tool("cpx-eval-ppl", arguments("out.jsonl"));
    ASSERT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(read("out.jsonl"), read("whole.jsonl"));
    EXPECT_FALSE(exists("out.jsonl.journal"));
    EXPECT_FALSE(exists("out.jsonl.lock"));
  }
}

TEST_F(EvalPplJournal, AnInterruptSaysHowToGoOn) {
  ToolResult result;
  stopped_journal(SIGTERM, &result);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err,
              testing::EndsWith("interrupted: no report was written; the same command goes on from "
                                "there\n"));
  EXPECT_FALSE(exists("out.jsonl"));
}

TEST_F(EvalPplJournal, ASecondProcessIsRefusedUnderTheItemsFlag) {
  BackgroundTool first("cpx-eval-ppl", arguments("out.jsonl"));
  ASSERT_TRUE(first.runs_until([&] { return exists("out.jsonl.journal"); }));
  first.send(SIGSTOP);  // else it may end before the second one begins
  const ToolResult second = run_tool("cpx-eval-ppl", arguments("out.jsonl"));
  first.send(SIGKILL);
  first.wait();
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(last_line(second), "cpx-eval-ppl: [--items] '" + path("out.jsonl") +
                                   "' is in use: process " + std::to_string(first.pid()) +
                                   " writes it. Wait for that one, or choose another output.\n");
}

TEST_F(EvalPplJournal, AJournalOfOtherSettingsIsAnErrorThatNamesTheFirst) {
  stopped_journal(SIGKILL);
  auto other = arguments("out.jsonl");
  other.insert(other.end(), {"--max-tokens", "5", "--limit", "5"});
  const ToolResult refused = run_tool("cpx-eval-ppl", other);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(last_line(refused),
            "cpx-eval-ppl: [" + path("out.jsonl.journal") +
                "] was begun with other settings: 'max_tokens' is 0 there and 5 now. Give those to "
                "go on, or --overwrite to begin anew.\n");
  other.emplace_back("--overwrite");
  EXPECT_EQ(run_tool("cpx-eval-ppl", other).exit_code, 0);
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

TEST_F(EvalPplTool, WrongValuesOfFlagsAreToldTogether) {
  const ToolResult result =
      eval_ppl({"--model", model(), "--neutral", "x", "--limit", "-1", "--num-toxic", "-2",
                "--num-neutral", "2", "--resamples", "-3", "--weights", "q5_0", "--overwrite"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-eval-ppl: [command line] --num-toxic: got -2, expected at least 0.\n"
      "cpx-eval-ppl: [command line] --limit: got -1, expected at least 0.\n"
      "cpx-eval-ppl: [command line] --num-toxic: has no effect without --shards: there are no "
      "records. Leave it out.\n"
      "cpx-eval-ppl: [command line] --num-neutral: has no effect without --shards: there are no "
      "records. Leave it out.\n"
      "cpx-eval-ppl: [command line] --overwrite: has no effect without --items. Leave it out.\n"
      "cpx-eval-ppl: [command line] --resamples: got -3, expected at least 0.\n"
      "cpx-eval-ppl: [command line] --weights: got 'q5_0', expected dense, auto, float32, "
      "bfloat16, "
      "q8_0 or q4_0.\n");
}

TEST_F(EvalPplTool, ItemsIntoTheReportsFileAreRefused) {
  const ToolResult result = eval_ppl({"--model", model(), "--shards", path("eval.json"), "--items",
                                      path("a.json"), "--report", path("a.json")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "cpx-eval-ppl: [--items] '" + path("a.json") +
                            "' is also --report, expected another file.\n");
}

TEST_F(EvalPplTool, ItemsOnStandardOutputStandAlone) {
  const ToolResult result =
      eval_ppl({"--model", model(), "--shards", path("eval.json"), "--limit", "1", "--items", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(num_lines(result.out), 2U);
  EXPECT_TRUE(nlohmann::json::accept(result.out.substr(0, result.out.find('\n'))));
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

  auto of_texts = published;
  of_texts.insert(of_texts.end(),
                  {"--items", path("i"), "--resamples", "9", "--weights", "float32"});
  const std::string why = "with --mode published: a side's texts are one text";
  EXPECT_EQ(eval_ppl(of_texts).err,
            "cpx-eval-ppl: [command line] --items: has no effect " + why + ". Leave it out.\n" +
                "cpx-eval-ppl: [command line] --resamples: has no effect " + why +
                ". Leave it out.\n" +
                "cpx-eval-ppl: [command line] --weights: has no effect with --mode published: "
                "weights are in --dtype. Leave it out.\n");

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
