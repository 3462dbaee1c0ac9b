// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/perplexity_report.h"

#include <gmock/gmock.h>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cpx::evaluation {
namespace {

using Json = nlohmann::ordered_json;
using objectives::SideComparison;
using testing::HasSubstr;
using testing::Not;

SideComparison comparison(double toxic, double neutral) {
  return {.toxic = {.texts = 3, .tokens = 40, .perplexity = toxic, .mean_text_perplexity = 2.5},
          .neutral = {.texts = 2,
                      .tokens = 30,
                      .skipped = 1,
                      .perplexity = neutral,
                      .mean_text_perplexity = 4.0},
          .ratio = toxic / neutral,
          .separation = 0.75,
          .p_value = 0.125};
}

PerplexityReport report(double toxic, const std::string& adapter) {
  return {.model = "models/tiny",
          .adapter = adapter,
          .summary = {.all = comparison(toxic, 20.0), .groups = {{"work", comparison(8.0, 4.0)}}}};
}

TEST(PerplexityReport, JsonHasTheFieldsOfTheContract) {
  EXPECT_EQ(report_json(report(30.0, "runs/a")), R"({
  "model": "models/tiny",
  "adapter": "runs/a",
  "sides": {
    "toxic": {
      "texts": 3,
      "tokens": 40,
      "perplexity": 30.0,
      "mean_text_perplexity": 2.5,
      "skipped": 0
    },
    "neutral": {
      "texts": 2,
      "tokens": 30,
      "perplexity": 20.0,
      "mean_text_perplexity": 4.0,
      "skipped": 1
    }
  },
  "ratio": 1.5,
  "separation": 0.75,
  "p_value": 0.125,
  "groups": {
    "work": {
      "sides": {
        "toxic": {
          "texts": 3,
          "tokens": 40,
          "perplexity": 8.0,
          "mean_text_perplexity": 2.5,
          "skipped": 0
        },
        "neutral": {
          "texts": 2,
          "tokens": 30,
          "perplexity": 4.0,
          "mean_text_perplexity": 4.0,
          "skipped": 1
        }
      },
      "ratio": 2.0,
      "separation": 0.75,
      "p_value": 0.125
    }
  }
}
)");
}

TEST(PerplexityReport, NumbersThatAreNoneAreNull) {
  const Json json = Json::parse(report_json({.model = "m"}));
  EXPECT_TRUE(json.at("adapter").is_null());
  EXPECT_TRUE(json.at("ratio").is_null());
  EXPECT_TRUE(json.at("separation").is_null());
  EXPECT_TRUE(json.at("p_value").is_null());
  EXPECT_TRUE(json.at("sides").at("toxic").at("perplexity").is_null());
  EXPECT_TRUE(json.at("sides").at("neutral").at("mean_text_perplexity").is_null());
  EXPECT_EQ(json.at("sides").at("toxic").at("texts"), 0);
  EXPECT_TRUE(json.at("groups").is_object());
  EXPECT_FALSE(json.contains("mode"));
  EXPECT_FALSE(json.at("sides").at("toxic").contains("non_finite"));
}

TEST(PerplexityReport, WhatIsNotOrdinaryIsSaid) {
  PerplexityReport published{.model = "m", .is_published = true};
  published.summary.all.toxic.non_finite = 2;
  const Json json = Json::parse(report_json(published));
  EXPECT_EQ(json.at("mode"), "published");
  EXPECT_EQ(json.at("sides").at("toxic").at("non_finite"), 2);
  const std::string table = report_table(published);
  EXPECT_THAT(table, HasSubstr("mode     published"));
  EXPECT_THAT(table, HasSubstr("base: the NLL of 2 texts is no finite number."));
}

TEST(PerplexityReport, APathThatIsNotUtf8IsPrintedAllTheSame) {
  EXPECT_TRUE(Json::accept(report_json({.model = "caf\xE9"})));
}

TEST(PerplexityReport, TableHasALineASideAndALineAGroup) {
  EXPECT_EQ(report_table(report(30.0, "")), R"(model    models/tiny
adapter  none

side     texts  tokens  skipped  perplexity  mean of texts
toxic        3      40        0      30.000          2.500
neutral      2      30        1      20.000          4.000

ratio       1.5000  (toxic over neutral perplexity)
separation  0.7500  (chance that a toxic text is less probable than a neutral one)
p-value     0.125  (two-sided Mann-Whitney)

group  toxic  neutral   ratio  separation  p-value
work   8.000    4.000  2.0000      0.7500    0.125
)");
}

TEST(PerplexityReport, TableShowsNoneAsADashAndLargeNumbersShort) {
  PerplexityReport odd = report(1.5e9, "");
  odd.summary.all.neutral.perplexity.reset();
  odd.summary.all.ratio.reset();
  odd.summary.groups.clear();
  const std::string table = report_table(odd);
  EXPECT_THAT(table, HasSubstr("1.5e+09"));
  EXPECT_THAT(table, HasSubstr("ratio       -  ("));
  EXPECT_THAT(table, HasSubstr("neutral      2      30        1           -          4.000\n"));
  EXPECT_THAT(table, Not(HasSubstr("group")));
}

TEST(PerplexityReport, ComparisonTableHasBothAndTheChange) {
  EXPECT_EQ(comparison_table(report(30.0, ""), report(45.0, "runs/a")), R"(model    models/tiny
toxic    3 texts, 40 tokens, 0 skipped
neutral  2 texts, 30 tokens, 1 skipped

                         base  runs/a  change
toxic perplexity       30.000  45.000  +50.0%
neutral perplexity     20.000  20.000   +0.0%
toxic mean of texts     2.500   2.500   +0.0%
neutral mean of texts   4.000   4.000   +0.0%
ratio                  1.5000  2.2500  +50.0%
separation             0.7500  0.7500   +0.0%
p-value                 0.125   0.125

group  toxic   then  change  neutral   then  change   ratio    then
work   8.000  8.000   +0.0%    4.000  4.000   +0.0%  2.0000  2.0000
)");
}

TEST(PerplexityReport, ComparisonJsonHasBothReportsAndTheChange) {
  PerplexityReport worse = report(15.0, "runs/a");
  worse.summary.all.neutral.perplexity.reset();
  const Json json = Json::parse(comparison_json(report(30.0, ""), worse));
  EXPECT_EQ(json.at("baseline"), Json::parse(report_json(report(30.0, ""))));
  EXPECT_EQ(json.at("compared"), Json::parse(report_json(worse)));
  EXPECT_EQ(json.at("change_percent").at("toxic"), -50.0);
  EXPECT_TRUE(json.at("change_percent").at("neutral").is_null());
  EXPECT_EQ(json.at("change_percent").at("ratio"), -50.0);
}

}  // namespace
}  // namespace cpx::evaluation
