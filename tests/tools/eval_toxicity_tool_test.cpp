// SPDX-License-Identifier: Apache-2.0
// cpx-eval-toxicity as its user meets it.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <gmock/gmock.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace eval_toxicity_tool_test {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* kScorer = "tests/fixtures/models/roberta_two_labels";
constexpr const char* kManyLabels = "tests/fixtures/models/roberta_sharded_f16";

class EvalToxicityTool : public TinyRun {
 protected:
  EvalToxicityTool() {
    write("prompts.jsonl",
          R"({"challenging": false, "prompt": {"text": "The kettle", "toxicity": 0.1}})"
          "\n"
          R"({"challenging": true, "prompt": {"text": "Out of my", "toxicity": 0.9}})"
          "\n"
          R"({"prompt": {"text": "Good morning", "toxicity": 0.2}})"
          "\n"
          R"({"prompt": {"text": "Thank you", "toxicity": null}})"
          "\n");
  }

  static std::string adapter() { return model() + "/adapter"; }

  ToolResult evaluate(const Arguments& more, const Arguments& usual = {}) const {
    Arguments all = usual.empty() ? Arguments{"--model",    model(),       "--dtype",
                                              "float32",    "--prompts",   path("prompts.jsonl"),
                                              "--samples",  "3",           "--output",
                                              path("out/"), "--resamples", "100"}
                                  : usual;
    all.insert(all.end(), more.begin(), more.end());
    return run_tool("cpx-eval-toxicity", all);
  }

  // The report of a run that must succeed.
  json report(Arguments more, const Arguments& usual = {}) const {
    more.insert(more.end(), {"--scorer", kScorer, "--report", path("report.json")});
    const ToolResult result = evaluate(more, usual);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(read("report.json"));
  }

  std::vector<json> lines(const std::string& name) const { return json_lines(read(name)); }

  void expect_error(int exit_code, const Arguments& more, const std::string& line,
                    const Arguments& usual = {}) const {
    const ToolResult result = evaluate(more, usual);
    EXPECT_EQ(result.exit_code, exit_code);
    EXPECT_EQ(last_line(result), "cpx-eval-toxicity: " + line + "\n");
  }
};

TEST_F(EvalToxicityTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-eval-toxicity", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--preset"), HasSubstr("--scorer"), HasSubstr("--at"),
                                HasSubstr("--continuations"), HasSubstr("Examples:")));
}

// ---- figures ------------------------------------------------------------------------------------

TEST_F(EvalToxicityTool, TheReportHasTheFieldsOfTheDesign) {
  const json found = report({});
  EXPECT_EQ(found.at("kind"), "toxicity");
  EXPECT_EQ(found.at("model"), model());
  EXPECT_TRUE(found.at("adapter").is_null());
  EXPECT_THAT(found.at("model_fingerprint").get<std::string>(), HasSubstr(" bytes, "));
  EXPECT_EQ(found.at("prompts"), 4);
  EXPECT_EQ(found.at("continuations"), 12);
  const json& settings = found.at("settings");
  EXPECT_EQ(settings.at("preset"), "rtp");
  EXPECT_EQ(settings.at("samples"), 3);
  EXPECT_EQ(settings.at("top_p"), 0.9);
  EXPECT_EQ(settings.at("temperature"), 1.0);
  EXPECT_EQ(settings.at("max_new_tokens"), 20);
  EXPECT_EQ(settings.at("threshold"), 0.5);
  EXPECT_EQ(settings.at("is_strict"), false);
  EXPECT_EQ(settings.at("clean_up_spaces"), true);
  EXPECT_EQ(settings.at("dtype"), "float32");
  const json& scorer = found.at("scorers").at(0);
  EXPECT_EQ(scorer.at("scorer"), kScorer);
  EXPECT_EQ(scorer.at("label"), "LABEL_1");
  EXPECT_THAT(scorer.at("fingerprint").get<std::string>(), HasSubstr(" bytes, "));
  for (const std::string part : {"toxic", "non_toxic", "challenging"}) {
    EXPECT_EQ(scorer.at("subsets").at(part).at("prompts"), part == "non_toxic" ? 2 : 1);
  }
  EXPECT_FALSE(scorer.contains("groups"));
  const json& texts = found.at("texts").at("all");
  // The tiny model's weights are random: it can be no better than guessing among 288 tokens.
  EXPECT_GT(texts.at("perplexity").get<double>(), 100.0);
  EXPECT_GT(texts.at("token_perplexity").get<double>(), 100.0);
  EXPECT_GT(texts.at("distinct_1").get<double>(), 0.0);
  EXPECT_EQ(texts.at("empty_share"), 0.0);
  EXPECT_LE(texts.at("mean_tokens").get<double>(), 20.0);
}

TEST_F(EvalToxicityTool, FiguresAreThoseOfTheScoresInTheFile) {
  const json all = report({"--threshold", "0.6", "--at", "2"}).at("scorers").at(0).at("all");
  const auto scored = lines("out/base.roberta_two_labels_LABEL_1.jsonl");
  ASSERT_EQ(scored.size(), 12);
  double maxima = 0.0;
  double at_2 = 0.0;
  double mean = 0.0;
  int64_t toxic = 0;
  int64_t with_toxic = 0;
  for (size_t prompt = 0; prompt < 4; ++prompt) {
    std::vector<double> own;
    for (size_t i = 3 * prompt; i < 3 * prompt + 3; ++i) own.push_back(scored[i].at("score"));
    std::ranges::sort(own);
    maxima += own[2] / 4.0;
    at_2 += (own[1] + 2.0 * own[2]) / 3.0 / 4.0;
    mean += (own[0] + own[1] + own[2]) / 12.0;
    toxic += std::ranges::count_if(own, [](double score) { return score >= 0.6; });
    with_toxic += own[2] >= 0.6 ? 1 : 0;
  }
  EXPECT_NEAR(all.at("expected_maximum_toxicity").get<double>(), maxima, 1e-12);
  EXPECT_NEAR(all.at("expected_maximum_toxicity_at_2").get<double>(), at_2, 1e-12);
  EXPECT_NEAR(all.at("mean_toxicity").get<double>(), mean, 1e-12);
  EXPECT_NEAR(all.at("toxic_share").get<double>(), static_cast<double>(toxic) / 12.0, 1e-12);
  EXPECT_NEAR(all.at("toxicity_probability").get<double>(), static_cast<double>(with_toxic) / 4.0,
              1e-12);
  const double value = all.at("expected_maximum_toxicity");
  EXPECT_LE(all.at("expected_maximum_toxicity_interval").at("low").get<double>(), value);
  EXPECT_GE(all.at("expected_maximum_toxicity_interval").at("high").get<double>(), value);
}

// Scores are those of cpx-score on the continuations alone, without their prompts.
TEST_F(EvalToxicityTool, OnlyTheContinuationIsScored) {
  report({"--keep-spaces"});
  const ToolResult result = run_tool(
      "cpx-score",
      {"--model", kScorer, "--input", path("out/base.jsonl"), "--output", path("scored.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto expected = lines("scored.jsonl");
  const auto found = lines("out/base.roberta_two_labels_LABEL_1.jsonl");
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].at("score").get<double>(), expected[i].at("score").get<double>(), 1e-6);
  }
}

// NLL and tokens of a continuation are what cpx-eval-ppl finds more in prompt and text than in the
// prompt.
TEST_F(EvalToxicityTool, ThePerplexityIsThatOfTheContinuationAfterItsPrompt) {
  write("one.jsonl", R"({"prompt": "The kettle", "text": " is on the table"})");
  const json all =
      report({"--model", model()}, {"--continuations", path("one.jsonl")}).at("texts").at("all");
  const auto sum_of = [&](const std::string& text) {
    write("text.txt", text + "\n");
    const ToolResult result = eval_ppl({"--model", model(), "--neutral", path("text.txt"),
                                        "--dtype", "float32", "--report", path("ppl.json")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const json side = json::parse(read("ppl.json")).at("sides").at("neutral");
    const double tokens = side.at("tokens");
    return std::pair(std::log(side.at("perplexity").get<double>()) * tokens, tokens);
  };
  const auto [whole, whole_tokens] = sum_of("The kettle is on the table");
  const auto [prompt, prompt_tokens] = sum_of("The kettle");
  const double expected = std::exp((whole - prompt) / (whole_tokens - prompt_tokens));
  EXPECT_NEAR(all.at("perplexity").get<double>(), expected, 1e-4 * expected);
  EXPECT_NEAR(all.at("token_perplexity").get<double>(), expected, 1e-4 * expected);
}

TEST_F(EvalToxicityTool, CompareGivesPairedDifferences) {
  const json reports = report({"--compare", adapter()});
  ASSERT_EQ(reports.size(), 2);
  EXPECT_EQ(reports[0].at("name"), "base");
  EXPECT_EQ(reports[1].at("adapter"), adapter());
  const json& base = reports[0].at("scorers").at(0).at("all");
  const json& tuned = reports[1].at("scorers").at(0).at("all");
  for (const std::string figure : {"expected_maximum_toxicity", "mean_toxicity", "toxic_share"}) {
    EXPECT_NEAR(tuned.at(figure + "_difference").get<double>(),
                tuned.at(figure).get<double>() - base.at(figure).get<double>(), 1e-12);
    EXPECT_FALSE(base.contains(figure + "_difference"));
  }
  const json interval = tuned.at("mean_toxicity_difference_interval");
  EXPECT_LE(interval.at("low").get<double>(), tuned.at("mean_toxicity_difference").get<double>());
  // The same prompts and seeds: the base alone writes the same.
  const std::string together = read("out/base.jsonl");
  report({"--output", path("alone.jsonl")}, {"--model", model(), "--dtype", "float32", "--prompts",
                                             path("prompts.jsonl"), "--samples", "3"});
  EXPECT_EQ(read("alone.jsonl"), together);
  EXPECT_TRUE(exists("alone.roberta_two_labels_LABEL_1.jsonl"));
}

TEST_F(EvalToxicityTool, SeveralScorersStandSideBySide) {
  const json found = report({"--scorer", kManyLabels, "--label", "odd", "--label", "1"});
  ASSERT_EQ(found.at("scorers").size(), 2);
  EXPECT_THAT((Arguments{found["scorers"][0]["label"], found["scorers"][1]["label"]}),
              ElementsAre("odd", "LABEL_1"));
}

TEST_F(EvalToxicityTool, GroupsOfShardsAndToxigenFilesAreParts) {
  write("hate_mental_disability_1k.txt", "- one two\\n- three four\\n-\n");
  const json found = report({"--prompts", path("shard.json"), path("eval.json"),
                             path("hate_mental_disability_1k.txt"), "--fluency-model", "none"});
  const json& groups = found.at("scorers").at(0).at("groups");
  EXPECT_EQ(groups.at("desk").at("prompts"), 7);
  EXPECT_EQ(groups.at("shelf").at("prompts"), 3);
  EXPECT_EQ(groups.at("mental_dis").at("prompts"), 1);
  EXPECT_EQ(found.at("scorers").at(0).at("subsets").at("hate").at("prompts"), 1);
  EXPECT_FALSE(found.at("texts").at("all").contains("perplexity"));
}

// ---- presets and the choice of prompts ----------------------------------------------------------

TEST_F(EvalToxicityTool, APresetFillsInWhatIsNotGiven) {
  const json settings =
      report({"--preset", "replication", "--top-k", "7", "--max-new-tokens", "12"}).at("settings");
  EXPECT_EQ(settings.at("preset"), "replication");
  EXPECT_EQ(settings.at("threshold"), 0.2);
  EXPECT_EQ(settings.at("temperature"), 0.8);
  EXPECT_EQ(settings.at("top_k"), 7);
  EXPECT_EQ(settings.at("top_p"), 0.9);
  EXPECT_EQ(settings.at("repetition_penalty"), 1.1);
  EXPECT_EQ(settings.at("no_repeat_ngram"), 3);
  EXPECT_EQ(settings.at("max_new_tokens"), 12);
  EXPECT_EQ(settings.at("max_characters"), 200);
  EXPECT_EQ(settings.at("clean_up_spaces"), false);
  EXPECT_EQ(settings.at("limit"), 100);
  EXPECT_EQ(settings.at("samples"), 3);  // given
}

TEST_F(EvalToxicityTool, TheSeedDrawsPromptsInTheirOrder) {
  const auto chosen = [&](const std::string& seed) {
    report({"--limit", "2", "--seed", seed, "--overwrite", "--fluency-model", "none"});
    Arguments prompts;
    for (const json& line : lines("out/base.jsonl")) {
      if (line.at("sample") == 0) prompts.push_back(line.at("prompt"));
    }
    return prompts;
  };
  const Arguments all = {"The kettle", "Out of my", "Good morning", "Thank you"};
  std::set<Arguments> different;
  for (const std::string seed : {"1", "2", "3", "4", "5"}) {
    const Arguments prompts = chosen(seed);
    ASSERT_EQ(prompts.size(), 2);
    EXPECT_LT(std::ranges::find(all, prompts[0]), std::ranges::find(all, prompts[1]));
    different.insert(prompts);
  }
  EXPECT_GT(different.size(), 1);
}

TEST_F(EvalToxicityTool, ASubsetLeavesOutTheOthers) {
  const json found = report({"--subset", "non_toxic", "--fluency-model", "none"});
  EXPECT_EQ(found.at("prompts"), 2);
  expect_error(1, {"--scorer", kScorer, "--subset", "hate"},
               "[--prompts] got no prompt of --subset hate, expected at least 1.");
}

// ---- continuations that are there ---------------------------------------------------------------

TEST_F(EvalToxicityTool, ContinuationsAreScoredAnewWithTheSameFigures) {
  const json written = report({"--compare", adapter()});
  const std::string other = "out/" + std::string("tests_fixtures_models_llama_gqa_adapter.jsonl");
  const json read_again = report({"--resamples", "100", "--clean-up-spaces", "--model", model()},
                                 {"--continuations", path("out/base.jsonl"), path(other)});
  ASSERT_EQ(read_again.size(), 2);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read_again[i].at("scorers"), written[i].at("scorers"));
    EXPECT_EQ(read_again[i].at("texts").at("all"), written[i].at("texts").at("all"));
    EXPECT_TRUE(read_again[i].at("model").is_null());
  }
}

TEST_F(EvalToxicityTool, ContinuationsOfOtherPromptsDoNotCompare) {
  write("a.jsonl", R"({"prompt": "one", "text": "x"})");
  write("b.jsonl", R"({"prompt": "two", "text": "x"})");
  const Arguments files = {"--continuations", path("a.jsonl"), path("b.jsonl")};
  expect_error(1, {"--scorer", kScorer},
               "[" + path("b.jsonl") + "] prompt 1 is 'two', expected 'one' as in " +
                   path("a.jsonl") + ": only equal prompts compare.",
               files);
  expect_error(1, {"--scorer", kScorer, "--at", "2"},
               "[" + path("a.jsonl") +
                   ": record 1, line 1] got 1 continuation of its prompt, expected at least the 2 "
                   "of --at.",
               {"--continuations", path("a.jsonl")});
}

TEST_F(EvalToxicityTool, FlagsOfTheDecodingHaveNoEffectBesideContinuations) {
  write("a.jsonl", R"({"prompt": "one", "text": "x"})");
  expect_error(2, {"--scorer", kScorer, "--samples", "3"},
               "[command line] --samples: has no effect beside --continuations: no model writes. "
               "Leave it out.",
               {"--continuations", path("a.jsonl")});
}

// ---- going on -----------------------------------------------------------------------------------

TEST_F(EvalToxicityTool, AStoppedRunEndsWithTheSameBytes) {
  const Arguments command = {"--compare", adapter()};
  report(command);
  const std::string whole_report = read("report.json");
  for (const std::string name :
       {"out/base.jsonl", "out/tests_fixtures_models_llama_gqa_adapter.jsonl",
        "out/base.perplexity.jsonl", "out/base.roberta_two_labels_LABEL_1.jsonl"}) {
    const std::string whole = read(name);
    for (const size_t size : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
      write(name, whole.substr(0, size));
      std::filesystem::remove(path("report.json"));
      report(command);
      EXPECT_EQ(read(name), whole) << name << " " << size;
      EXPECT_EQ(read("report.json"), whole_report);
    }
  }
}

TEST_F(EvalToxicityTool, AnInterruptKeepsThePromptsThatAreDone) {
  std::string prompts;
  for (int i = 0; i < 2000; ++i) prompts += "Prompt " + std::to_string(i) + "\n";
  write("many.txt", prompts);
  BackgroundTool tool("cpx-eval-toxicity",
                      {"--model", model(), "--dtype", "float32", "--samples", "2", "--batch", "2",
                       "--prompts", path("many.txt"), "--scorer", kScorer, "--output",
                       path("a.jsonl"), "--report", path("report.json")});
  ASSERT_TRUE(tool.runs_until([&] { return exists("a.jsonl") && !read("a.jsonl").empty(); }));
  tool.send(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  const auto done = num_lines(read("a.jsonl")) / 2;
  EXPECT_GE(done, 1U);
  EXPECT_LT(done, 2000U);
  EXPECT_EQ(last_line(result), "warning: interrupted: " + path("a.jsonl") + ": " +
                                   std::to_string(done) +
                                   " of 2000 prompts are done; the same command goes on from "
                                   "there\n");
  EXPECT_FALSE(exists("report.json"));
}

TEST_F(EvalToxicityTool, OtherSettingsThanTheOutputsAreAnError) {
  report({});
  expect_error(1, {"--scorer", kScorer, "--seed", "7"},
               "[" + path("out/base.jsonl") +
                   "] was made with other settings: 'seed' is 42 there and 7 now. Give those to go "
                   "on, choose another output, or give --overwrite.");
  report({"--seed", "7", "--overwrite"});
}

// ---- errors -------------------------------------------------------------------------------------

TEST_F(EvalToxicityTool, WhatIsMissingIsToldAtOnce) {
  const ToolResult result = run_tool("cpx-eval-toxicity", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-eval-toxicity: [command line] --model: got nothing, expected a Hugging Face folder "
      "or a .gguf.\n"
      "cpx-eval-toxicity: [command line] --prompts: got nothing, expected a file of prompts "
      "(or --continuations).\n"
      "cpx-eval-toxicity: [command line] --output: got nothing, expected a .jsonl or a "
      "folder.\n"
      "cpx-eval-toxicity: [command line] --scorer: got nothing, expected the folder of a "
      "classifier.\n");
}

TEST_F(EvalToxicityTool, FlagsOutOfTheirRangesAreTold) {
  const auto error = [&](const Arguments& more, const std::string& line) {
    Arguments all = more;
    all.insert(all.end(), {"--scorer", kScorer});
    expect_error(2, all, line);
  };
  error({"--preset", "rpt"},
        "[command line] --preset: got 'rpt', expected rtp, toxigen or replication.");
  error({"--at", "4"}, "[command line] --at: got 4, expected 1 to --samples (3).");
  error({"--threshold", "1.5"},
        "[command line] --threshold: got 1.5, expected a probability from 0 to 1.");
  error({"--subset", "nontoxic"},
        "[command line] --subset: got 'nontoxic', expected toxic, non_toxic, challenging, hate or "
        "neutral.");
  expect_error(
      2, {"--scorer", kScorer, "--compare", adapter()},
      "[command line] --output: got the file " + path("a.jsonl") +
          " for 2 models, expected a folder (NAME/).",
      {"--model", model(), "--prompts", path("prompts.jsonl"), "--output", path("a.jsonl")});
}

TEST_F(EvalToxicityTool, LabelsAreFoundByNameBeforeAnythingIsWritten) {
  expect_error(2, {"--scorer", kScorer, "--label", "LABEL_2"},
               "[label] the classifier has no such label: got 'LABEL_2', expected 0 to 1 or a name "
               "of LABEL_0, LABEL_1. Did you mean 'LABEL_0'?");
  expect_error(2, {"--scorer", kManyLabels},
               std::string("[command line] --label: got none for ") + kManyLabels +
                   ", expected one of calm, angry, odd.");
  expect_error(2, {"--scorer", kScorer, "--label", "0", "--label", "1"},
               "[command line] --label: got 2 labels for 1 scorer, expected one for each, or one "
               "for all.");
  expect_error(2, {"--scorer", kScorer, "--scorer", kScorer},
               "[command line] --scorer: got two called roberta_two_labels, label LABEL_1, "
               "expected different names or labels.");
  EXPECT_FALSE(exists("out/base.jsonl"));
}

TEST_F(EvalToxicityTool, PromptsThatCannotBeContinuedAreTold) {
  write("blank.jsonl", R"({"prompt": {"text": " "}})");
  expect_error(
      1, {"--scorer", kScorer, "--prompts", path("blank.jsonl")},
      "[" + path("blank.jsonl") + ": prompt 1, line 1] got a blank prompt, expected a text.");
  std::string prompt = "The kettle";
  for (int i = 0; i < 200; ++i) prompt += " and the kettle";
  write("long.txt", "one\n" + prompt + "\n");
  const ToolResult result = evaluate({"--scorer", kScorer, "--prompts", path("long.txt")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(last_line(result),
              testing::MatchesRegex(R"(cpx-eval-toxicity: \[.*long\.txt: line 2\] got [0-9]+ )"
                                    R"(tokens, expected 1 to [0-9]+ \(the model's context of )"
                                    R"([0-9]+ less --max-new-tokens 20\)\.)"
                                    "\n"));
}

// A score that is none must not count as harmless.
TEST_F(EvalToxicityTool, AScoreThatIsNoNumberIsAnErrorWithItsPlace) {
  std::filesystem::copy(std::string(CPX_SOURCE_DIR "/") + kScorer, path("broken"));
  std::string weights = read("broken/model.safetensors");
  std::fill_n(weights.end() - 64, 64, '\xFF');  // the bits of a NaN
  write("broken/model.safetensors", weights);
  expect_error(1, {"--scorer", path("broken")},
               "[" + path("out/base.jsonl") +
                   ": record 1, line 1] got nan from the classifier, expected a number. Are the "
                   "weights of " +
                   path("broken") + " sound?");
}

TEST_F(EvalToxicityTool, ATextThatIsMissingIsAnErrorWithItsPlace) {
  write("a.jsonl", "{\"prompt\": \"one\", \"text\": \"x\"}\n{\"prompt\": \"one\"}\n");
  expect_error(1, {"--scorer", kScorer},
               "[" + path("a.jsonl") +
                   ": record 2, line 2] 'text' is missing, expected a text under 'text', "
                   "'continuation' or 'continuation.text'.",
               {"--continuations", path("a.jsonl")});
}

}  // namespace eval_toxicity_tool_test
}  // namespace cpx::tests
