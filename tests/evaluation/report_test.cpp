// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/report.h"

#include <cmath>
#include <gmock/gmock.h>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cpx::evaluation {
namespace report_test {

using objectives::ScoredText;
using objectives::Side;
using testing::HasSubstr;
using testing::Not;

std::vector<ScoredText> texts(double toxic_nll) {
  return {{.side = Side::kToxic, .group = "a", .nll_sum = toxic_nll, .tokens = 2},
          {.side = Side::kNeutral, .group = "a", .nll_sum = 2.0, .tokens = 2},
          {.side = Side::kNeutral, .group = "b", .nll_sum = 4.0, .tokens = 2},
          {.side = Side::kToxic, .group = "b", .nll_sum = 0.0, .tokens = 0}};
}

Report report(double toxic_nll, std::optional<std::string> adapter = std::nullopt) {
  return {.model = "m",
          .adapter = std::move(adapter),
          .summary = objectives::summarize_perplexity(texts(toxic_nll)),
          .seconds = 1.5};
}

TEST(ReportJson, HasTheFieldsOfTheDesignAndNullForWhatDoesNotExist) {
  const std::vector<Report> one = {report(6.0)};
  const auto json = nlohmann::ordered_json::parse(report_json(one));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys,
            (std::vector<std::string>{"kind", "version", "model", "adapter", "settings", "sides",
                                      "ratio", "separation", "p_value", "groups", "seconds"}));
  EXPECT_EQ(json["kind"], "perplexity");
  EXPECT_EQ(json["seconds"], 1.5);
  EXPECT_TRUE(json["adapter"].is_null());
  EXPECT_NEAR(json["sides"]["toxic"]["perplexity"].get<double>(), 20.0855, 1e-4);    // e^3
  EXPECT_NEAR(json["sides"]["neutral"]["perplexity"].get<double>(), 4.48169, 1e-5);  // e^1.5
  EXPECT_EQ(json["sides"]["toxic"]["skipped"], 1);
  EXPECT_NEAR(json["ratio"].get<double>(), 4.48169, 1e-5);
  EXPECT_EQ(json["separation"], 1.0);
  EXPECT_TRUE(json["groups"]["b"]["ratio"].is_null());  // b has no toxic text that was scored
}

TEST(ReportJson, TextsThatRepeatAreCountedApart) {
  std::vector<Report> one = {report(6.0)};
  EXPECT_FALSE(
      nlohmann::json::parse(report_json(one))["sides"]["neutral"].contains("distinct_texts"));
  EXPECT_THAT(report_table(one), HasSubstr("neutral  2 texts, 4 tokens\n"));
  one.front().distinct_texts.neutral = 1;
  const auto sides = nlohmann::json::parse(report_json(one))["sides"];
  EXPECT_EQ(sides["neutral"]["distinct_texts"], 1);
  EXPECT_FALSE(sides["toxic"].contains("distinct_texts"));
  EXPECT_THAT(report_table(one), HasSubstr("neutral  2 texts (1 different), 4 tokens\n"));
}

TEST(ReportJson, TwoReportsAreAList) {
  const std::vector<Report> two = {report(6.0), report(8.0, "adapter/folder")};
  const auto json = nlohmann::json::parse(report_json(two));
  ASSERT_EQ(json.size(), 2);
  EXPECT_EQ(json[1]["adapter"], "adapter/folder");
}

// ---- Origin, intervals, changes ----------------------------------------------------------------

std::vector<Report> with_intervals(const std::vector<double>& toxic_nlls) {
  std::vector<std::vector<ScoredText>> models;
  std::vector<Report> reports;
  for (size_t i = 0; i < toxic_nlls.size(); ++i) {
    models.push_back(texts(toxic_nlls[i]));
    models.back().push_back(
        {.side = Side::kToxic, .group = "a", .nll_sum = toxic_nlls[i], .tokens = 2});
    reports.push_back(report(toxic_nlls[i]));
    if (i > 0) reports.back().adapter = "adapter/" + std::to_string(i);
    reports.back().summary = objectives::summarize_perplexity(models.back());
  }
  const auto intervals = perplexity_intervals(models, {.resamples = 50});
  for (size_t i = 0; i < reports.size(); ++i) reports[i].intervals = intervals[i];
  return reports;
}

TEST(ReportJson, SaysWhereItsFiguresComeFrom) {
  std::vector<Report> one = {report(6.0, "a")};
  one.front().origin = {.model_fingerprint = "5 bytes, 0f",
                        .adapter_fingerprint = "2 bytes, 1e",
                        .settings = {{"limit", int64_t{3}},
                                     {"distinct", true},
                                     {"toxic", SettingValue()},
                                     {"shards", std::vector<std::string>{"a.json"}}}};
  const auto json = nlohmann::json::parse(report_json(one));
  EXPECT_EQ(json["model_fingerprint"], "5 bytes, 0f");
  EXPECT_EQ(json["adapter_fingerprint"], "2 bytes, 1e");
  EXPECT_EQ(json["settings"].dump(),
            R"({"distinct":true,"limit":3,"shards":["a.json"],"toxic":null})");
}

TEST(ReportJson, EveryFigureHasItsIntervalIfThereAreAny) {
  EXPECT_EQ(report_json(std::vector<Report>{report(6.0)}).find("_interval"), std::string::npos);
  const auto json = nlohmann::json::parse(report_json(with_intervals({6.0})));
  const auto& toxic = json["sides"]["toxic"];
  EXPECT_NEAR(toxic["perplexity_interval"]["low"].get<double>(), std::exp(3.0), 1e-9);
  EXPECT_NEAR(toxic["mean_text_perplexity_interval"]["high"].get<double>(), std::exp(3.0), 1e-9);
  EXPECT_TRUE(json["ratio_interval"]["low"].is_number());
  EXPECT_TRUE(json["separation_interval"]["high"].is_number());
  EXPECT_TRUE(json["groups"]["b"]["ratio_interval"].is_null());
  EXPECT_FALSE(json.contains("change"));
}

TEST(ReportJson, EachReportButTheFirstHasItsChange) {
  const auto json = nlohmann::json::parse(report_json(with_intervals({6.0, 8.0, 4.0})));
  ASSERT_EQ(json.size(), 3);
  EXPECT_FALSE(json[0].contains("change"));
  const double percent = (std::exp(1.0) - 1.0) * 100.0;  // e^3 to e^4
  const auto& toxic = json[1]["change"]["sides"]["toxic"];
  EXPECT_NEAR(toxic["perplexity_percent"].get<double>(), percent, 1e-9);
  EXPECT_NEAR(toxic["perplexity_percent_interval"]["high"].get<double>(), percent, 1e-9);
  EXPECT_NEAR(toxic["mean_text_perplexity_percent"].get<double>(), percent, 1e-9);
  EXPECT_NEAR(json[1]["change"]["ratio_percent"].get<double>(), percent, 1e-9);
  EXPECT_EQ(json[1]["change"]["separation"], 0.0);
  EXPECT_LT(json[2]["change"]["ratio_percent"].get<double>(), 0.0);
  EXPECT_TRUE(json[2]["groups"]["a"]["change"]["ratio_percent"].is_number());
}

TEST(ReportTable, ShowsIntervalsBelowTheirFigures) {
  EXPECT_THAT(report_table(with_intervals({6.0, 8.0})),
              HasSubstr("perplexity, toxic                          20.09                 54.60"
                        "              +171.8 %\n"
                        "    95 % interval                 [20.09, 20.09]        [54.60, 54.60]"
                        "    [+171.8, +171.8] %\n"));
}

TEST(ReportTable, SeveralAdaptersAreNumberedAndEachHasItsChange) {
  const std::vector<Report> three = {report(6.0), report(8.0, "x"), report(4.0, "y")};
  const std::string table = report_table(three);
  EXPECT_THAT(table, HasSubstr("base      m\nadapter 1 m + x\nadapter 2 m + y\n"));
  EXPECT_THAT(table,
              HasSubstr("    base     adapter 1        change     adapter 2        change\n"));
  EXPECT_THAT(table, HasSubstr("perplexity, toxic                  20.09         54.60      +171.8 "
                               "%          7.39       -63.2 %\n"));
  EXPECT_THAT(table, HasSubstr("separation                         1.000         1.000        "
                               "+0.000         0.750        -0.250\n"));
}

TEST(ReportJson, APathThatIsNotUtf8IsPrintedAllTheSame) {
  const std::vector<Report> one = {report(6.0, "caf\xE9")};
  EXPECT_TRUE(nlohmann::json::accept(report_json(one)));
}

TEST(ReportTable, ShowsTheChangeInPercent) {
  const std::vector<Report> two = {report(6.0), report(8.0, "adapter/folder")};
  const std::string table = report_table(two);
  EXPECT_THAT(table, HasSubstr("m + adapter/folder"));
  EXPECT_THAT(table, HasSubstr("toxic    1 texts, 2 tokens, 1 skipped (nothing to predict)"));
  // e^3 to e^4: + (e - 1) * 100 %.
  EXPECT_THAT(table,
              HasSubstr("perplexity, toxic                  20.09         54.60      +171.8 %"));
  EXPECT_THAT(table,
              HasSubstr("perplexity, neutral                 4.48          4.48        +0.0 %"));
}

TEST(ReportTable, SaysWhyAFigureIsMissing) {
  const std::vector<ScoredText> texts = {
      {.side = Side::kToxic, .nll_sum = std::nan(""), .tokens = 2},
      {.side = Side::kNeutral, .nll_sum = 2.0, .tokens = 2}};
  const std::vector<Report> one = {
      {.model = "m", .adapter = {}, .summary = objectives::summarize_perplexity(texts)}};
  EXPECT_THAT(report_table(one),
              HasSubstr("base: the log-likelihood of 1 texts is not finite; figures over them are "
                        "-\n"));
  EXPECT_EQ(nlohmann::json::parse(report_json(one))["sides"]["toxic"]["non_finite"], 1);
}

TEST(ReportTable, APValueIsSmallNotZero) {
  std::vector<ScoredText> texts;
  for (int i = 0; i < 60; ++i) {
    texts.push_back({.side = Side::kToxic, .nll_sum = 10.0 + i, .tokens = 1});
    texts.push_back({.side = Side::kNeutral, .nll_sum = -10.0 - i, .tokens = 1});
  }
  const std::vector<Report> one = {
      {.model = "m", .adapter = {}, .summary = objectives::summarize_perplexity(texts)}};
  EXPECT_THAT(report_table(one), HasSubstr("p value (Mann-Whitney)         <0.000001\n"));
}

TEST(ReportTable, LeavesOutWhatOneSideAloneCannotTell) {
  const std::vector<ScoredText> neutral = {
      {.side = Side::kNeutral, .group = "", .nll_sum = 2.0, .tokens = 2}};
  const std::vector<Report> one = {
      {.model = "m", .adapter = {}, .summary = objectives::summarize_perplexity(neutral)}};
  const std::string table = report_table(one);
  EXPECT_THAT(table, HasSubstr("perplexity, neutral"));
  EXPECT_THAT(table, Not(HasSubstr("toxic")));
  EXPECT_THAT(table, Not(HasSubstr("ratio")));
}

}  // namespace report_test
}  // namespace cpx::evaluation
