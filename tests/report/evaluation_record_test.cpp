// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/evaluation_record.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "src/report/report_kinds.h"
#include "tests/support/errors.h"

namespace cpx::report {
namespace evaluation_record_test {

using testing::ElementsAre;

EvaluationRecord read(const std::string& json) {
  return evaluation_of(JsonValue::parse("[a.json: value 1]", json), "a.json");
}

TEST(EvaluationRecord, KnowsItsKindModelAndSettings) {
  const auto record =
      read(R"({"kind":"choice","version":"0.1.0","model":"m.gguf","model_fingerprint":"12",)"
           R"("adapter":"runs/a/final","settings":{"shots":5,"dtype":"float32"},"acc":0.5})");
  EXPECT_EQ(record.kind, "choice");
  EXPECT_EQ(record.model, "m.gguf");
  EXPECT_EQ(record.adapter, "runs/a/final");
  ASSERT_EQ(record.settings.size(), 6U);
  EXPECT_EQ(record.settings[0].name, "version");
  EXPECT_EQ(record.settings[4].name, "shots");
  EXPECT_EQ(record.settings[4].text, "5");
  EXPECT_THAT(record.figures.paths(), ElementsAre(FigurePath{"acc"}));
}

TEST(EvaluationRecord, AReportWithoutAKindIsOfPerplexityIfItHasBothSides) {
  EXPECT_EQ(read(R"({"model":"m","adapter":null,"sides":{},"separation":null})").kind,
            "perplexity");
  EXPECT_EQ(read(R"({"model":"m","something":1})").kind, "");
  EXPECT_FALSE(read(R"({"model":"m","adapter":null})").adapter.has_value());
}

TEST(EvaluationRecord, DigitsAreThoseOfTheFile) {
  const auto record = read(R"({"kind":"x","ratio":6.90674157419126460})");
  EXPECT_EQ(record.figures.find({"ratio"})->text, "6.90674157419126460");
}

TEST(EvaluationRecord, IntervalsErrorsAndDifferencesStandWithTheirFigure) {
  const auto record =
      read(R"({"kind":"choice","acc":0.5,"acc_stderr":0.01,"acc_interval":{"low":0.4,"high":0.6},)"
           R"("acc_difference":-0.1,"acc_difference_interval":{"low":-0.2,"high":0.0},)"
           R"("acc_p_value":0.04,"acc_deviation":0.3})");
  EXPECT_THAT(record.figures.paths(), ElementsAre(FigurePath{"acc"}));
  const EvaluationFigure* const accuracy = record.figures.find({"acc"});
  EXPECT_EQ(accuracy->error, 0.01);
  EXPECT_EQ(accuracy->deviation, 0.3);
  EXPECT_EQ(accuracy->interval->low, 0.4);
  EXPECT_EQ(accuracy->interval->high, 0.6);
  EXPECT_EQ(accuracy->difference->value, -0.1);
  EXPECT_EQ(accuracy->difference->interval->high, 0.0);
  EXPECT_EQ(accuracy->difference->p_value, 0.04);
  EXPECT_FALSE(accuracy->difference->is_percent);
}

TEST(EvaluationRecord, ChangesStandWithTheFiguresThatTheyRepeat) {
  const auto record =
      read(R"({"kind":"perplexity","sides":{"toxic":{"perplexity":20.0}},"separation":0.8,)"
           R"("change":{"sides":{"toxic":{"perplexity_percent":50.0,)"
           R"("perplexity_percent_interval":{"low":40.0,"high":60.0}}},"separation":0.1,)"
           R"("separation_interval":null}})");
  const auto* const perplexity = record.figures.find({"sides", "toxic", "perplexity"});
  ASSERT_TRUE(perplexity->difference.has_value());
  EXPECT_EQ(perplexity->difference->value, 50.0);
  EXPECT_TRUE(perplexity->difference->is_percent);
  EXPECT_EQ(perplexity->difference->interval->low, 40.0);
  EXPECT_EQ(record.figures.find({"separation"})->difference->value, 0.1);
  EXPECT_EQ(record.figures.paths().size(), 2U);
}

TEST(EvaluationRecord, WhatBelongsToNoFigureStaysAFigure) {
  const auto record = read(
      R"({"kind":"x","a_stderr":0.5,"b_interval":{"low":1,"high":2},"change":{"c_percent":3}})");
  EXPECT_THAT(record.figures.paths(),
              ElementsAre(FigurePath{"a_stderr"}, FigurePath{"b_interval", "low"},
                          FigurePath{"b_interval", "high"}, FigurePath{"change", "c_percent"}));
}

TEST(EvaluationRecord, ElementsOfAListAreNamedByWhatTheyAre) {
  const auto record = read(
      R"({"kind":"choice","tasks":[{"task":"piqa","acc":0.7},)"
      R"({"task":"mmlu","acc":0.3,"groups":[{"group":"stem","acc":0.2}]}],"odd":[{"a":1},{"a":2}]})");
  EXPECT_THAT(record.figures.paths(),
              ElementsAre(FigurePath{"tasks", "piqa", "acc"}, FigurePath{"tasks", "mmlu", "acc"},
                          FigurePath{"tasks", "mmlu", "groups", "stem", "acc"},
                          FigurePath{"odd", "1", "a"}, FigurePath{"odd", "2", "a"}));
}

TEST(EvaluationRecord, NothingIsDroppedOfAnUnknownKind) {
  const auto record = read(
      R"({"kind":"new","text":"a","flag":true,"none":null,"list":[1,2,"x"],"deep":{"er":{"est":4}},)"
      R"("long":[1,2,3,4,5,6,7,8,9,10,11,12,13],"empty":[],"notes":["one line"],"name":"column"})");
  const auto text_of = [&](const FigurePath& path) { return record.figures.find(path)->text; };
  EXPECT_EQ(text_of({"text"}), "a");
  EXPECT_EQ(text_of({"flag"}), "yes");
  EXPECT_EQ(text_of({"none"}), "");
  EXPECT_EQ(text_of({"list"}), "1, 2, x");
  EXPECT_EQ(text_of({"deep", "er", "est"}), "4");
  EXPECT_EQ(text_of({"long"}), "a list of 13 values");
  EXPECT_EQ(text_of({"empty"}), "none");
  EXPECT_THAT(record.notes, ElementsAre("one line"));
  EXPECT_EQ(record.name, "column");
}

TEST(EvaluationRecord, AValueThatIsNoObjectIsNoReport) {
  EXPECT_EQ(testing_support::message_of<DataError>([] { read("[1,2]"); }),
            "[a.json: value 1] is [1,2], expected a report of a cpx-eval tool, or texts with a "
            "prompt each.");
}

// ---- Views --------------------------------------------------------------------------------------

TEST(ReportKinds, StarsStandForAnyKey) {
  const FigurePath path = {"scorers", "models/a.b", "all", "mean_toxicity"};
  EXPECT_TRUE(matches(path, "scorers.*.all.*"));
  EXPECT_FALSE(matches(path, "scorers.*.groups.*"));
  EXPECT_FALSE(matches(path, "scorers.*.all"));
  EXPECT_EQ(wildcards_of(path, "scorers.*.all.*"), "models/a.b / mean_toxicity");
}

TEST(ReportKinds, EachKindOfTheSuiteHasAView) {
  for (const char* const kind : {"perplexity", "choice", "toxicity", "rewrite", "safety"}) {
    const KindView view = view_of(kind);
    EXPECT_FALSE(view.figures.empty() && view.breakdowns.empty()) << kind;
  }
  EXPECT_TRUE(view_of("new_kind").figures.empty());
  EXPECT_EQ(view_of("new_kind").title, "New kind");
}

}  // namespace evaluation_record_test
}  // namespace cpx::report
