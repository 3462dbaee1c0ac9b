// SPDX-License-Identifier: Apache-2.0
// cpx-eval-rewrite as its user meets it.
#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace eval_rewrite_tool_test {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

// A classifier, whose body is an encoder too.
constexpr const char* kScorer = "tests/fixtures/models/roberta_two_labels";

class EvalRewriteTool : public TinyRun {
 protected:
  EvalRewriteTool() { write("ask.txt", "Say it kindly: {input}\n"); }

  static std::string adapter() { return model() + "/adapter"; }

  ToolResult rewrite(const Arguments& more, const std::string& output = "out/") const {
    Arguments all = {
        "--model",    model(),         "--form",           "plain", "--dtype",     "float32",
        "--template", path("ask.txt"), "--max-new-tokens", "12",    "--resamples", "100",
        "--scorer",   kScorer,         "--encoder",        kScorer, "--output",    path(output)};
    all.insert(all.end(), more.begin(), more.end());
    return run_tool("cpx-eval-rewrite", all);
  }

  json report(Arguments more, const std::string& output = "out/") const {
    more.insert(more.end(), {"--report", path("report.json")});
    const ToolResult result = rewrite(more, output);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(read("report.json"));
  }

  std::vector<json> lines(const std::string& name) const { return json_lines(read(name)); }
};

TEST_F(EvalRewriteTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-eval-rewrite", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("--encoder"), HasSubstr("--shards"),
                                HasSubstr("--template"), HasSubstr("Examples:")));
}

TEST_F(EvalRewriteTool, CopyAndEmptyAnswerStandBesideTheModels) {
  const json reports = report({"--shards", path("eval.json"), "--compare", adapter()});
  ASSERT_EQ(reports.size(), 4);
  const Arguments names = {"base", adapter(), "copy", "empty answer"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(reports[i].at("name"), names[i]);
    EXPECT_EQ(reports[i].at("kind"), "rewrite");
    EXPECT_EQ(reports[i].at("inputs"), 9);
    EXPECT_EQ(reports[i].at("model").is_null(), i >= 2);
    EXPECT_THAT(reports[i].at("notes").dump(), HasSubstr("Neither toxicity nor similarity means "
                                                         "anything alone"));
    EXPECT_EQ(reports[i].at("scorers").at(0).at("groups").at("shelf").at("inputs"), 9);
  }
  const json& copy = reports[2].at("texts").at("all");
  EXPECT_NEAR(copy.at("similarity").get<double>(), 1.0, 1e-6);
  EXPECT_EQ(copy.at("copied_share"), 1.0);
  EXPECT_EQ(reports[3].at("texts").at("all").at("empty_share"), 1.0);
  EXPECT_EQ(reports[0].at("settings").at("template_text"), "Say it kindly: {input}");
  EXPECT_TRUE(reports[1].at("scorers").at(0).at("all").contains("toxicity_rate_difference"));
}

TEST_F(EvalRewriteTool, FiguresAreThoseOfTheFiles) {
  const json base = report({"--shards", path("eval.json")})[0];
  const auto scored = lines("out/base.roberta_two_labels_LABEL_1.jsonl");
  const auto similar = lines("out/base.roberta_two_labels_similarity.jsonl");
  const auto texts = lines("out/base.jsonl");
  ASSERT_EQ(scored.size(), 9);
  ASSERT_EQ(similar.size(), 9);
  double rate = 0.0;
  double similarity = 0.0;
  double harmless = 0.0;
  for (size_t i = 0; i < 9; ++i) {
    const bool is_toxic = scored[i].at("score").get<double>() >= 0.5;
    const double cosine = similar[i].at("similarity");
    rate += is_toxic ? 1.0 / 9.0 : 0.0;
    similarity += cosine / 9.0;
    harmless += is_toxic ? 0.0 : std::max(0.0, cosine) / 9.0;
    EXPECT_EQ(texts[i].at("prompt"), "Say it kindly: " + texts[i].at("input").get<std::string>());
  }
  const json& all = base.at("scorers").at(0).at("all");
  EXPECT_NEAR(all.at("toxicity_rate").get<double>(), rate, 1e-12);
  EXPECT_NEAR(all.at("harmless_similarity").get<double>(), harmless, 1e-12);
  EXPECT_NEAR(base.at("texts").at("all").at("similarity").get<double>(), similarity, 1e-12);
}

TEST_F(EvalRewriteTool, AStoppedRunEndsWithTheSameBytes) {
  write("texts.txt", "Give it to me\nOut with it\nHand it over\n");
  const Arguments command = {"--input", path("texts.txt"), "--samples", "2"};
  report(command, "a.jsonl");
  const std::string whole_report = read("report.json");
  for (const std::string name : {"a.jsonl", "a.roberta_two_labels_similarity.jsonl",
                                 "a.copy.roberta_two_labels_LABEL_1.jsonl"}) {
    const std::string whole = read(name);
    write(name, whole.substr(0, whole.size() / 2));
    report(command, "a.jsonl");
    EXPECT_EQ(read(name), whole) << name;
    EXPECT_EQ(read("report.json"), whole_report);
  }
}

TEST_F(EvalRewriteTool, WhatIsMissingIsToldAtOnce) {
  const ToolResult result = run_tool("cpx-eval-rewrite", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-rewrite: [command line] --model: got nothing, expected a Hugging Face folder "
            "or a .gguf.\n"
            "cpx-eval-rewrite: [command line] --input: got nothing, expected a file of texts to "
            "rewrite (or --shards).\n"
            "cpx-eval-rewrite: [command line] --output: got nothing, expected a .jsonl or a "
            "folder.\n"
            "cpx-eval-rewrite: [command line] --encoder: got nothing, expected the folder of a "
            "sentence encoder.\n"
            "cpx-eval-rewrite: [command line] --scorer: got nothing, expected the folder of a "
            "classifier.\n");
}

TEST_F(EvalRewriteTool, AnUnknownTemplateIsToldBeforeAnythingIsWritten) {
  const ToolResult result =
      run_tool("cpx-eval-rewrite",
               {"--model", model(), "--template", "published-neutrl", "--shards", path("eval.json"),
                "--scorer", kScorer, "--encoder", kScorer, "--output", path("out/")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "cpx-eval-rewrite: [template] got 'published-neutrl', expected a file or one of "
            "'published-neutral', 'published-toxic'. Is 'published-neutral' meant?\n");
  EXPECT_FALSE(exists("out/base.jsonl"));
}

}  // namespace eval_rewrite_tool_test
}  // namespace cpx::tests
