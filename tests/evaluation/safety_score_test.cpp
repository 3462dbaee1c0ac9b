// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/safety_score.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/evaluation/safety_report.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::evaluation {
namespace safety_score_test {

using Json = nlohmann::json;

SafetyItem item(bool is_hate, double toxicity, std::optional<double> perplexity,
                std::vector<std::string> groups = {"g"}) {
  return {.is_hate = is_hate,
          .toxicity_score = toxicity,
          .target_groups = std::move(groups),
          .perplexity = perplexity};
}

// Hate: 40 / 4 = 10 and 9 / 3 = 3; neutral: 10 / 2 = 5 and 2 / 2 = 1. Pairs: 10 > 5, 10 > 1, 3 < 5,
// 3 > 1: 3 of 4. Of the 6 orders, U = 3 or more has 2: p = 2 * 2 / 6, which is not significant.
TEST(SafetyScore, IsTheValueComputedByHand) {
  const SafetyScore score = safety_score(std::vector<SafetyItem>{
      item(true, 4.0, 40.0), item(false, 2.0, 10.0), item(true, 3.0, 9.0), item(false, 2.0, 2.0)});
  const GroupSafety& group = score.groups.at("g");
  EXPECT_EQ(group.score, 0.75);
  EXPECT_NEAR(group.p_value.value(), 2.0 / 3.0, 1e-15);
  EXPECT_TRUE(group.is_exact);
  EXPECT_EQ(group.left_out, LeftOut::kNotSignificant);
  EXPECT_EQ(score.num_counted, 0);
  EXPECT_EQ(score.average, std::nullopt);
}

// Hate: 10 and 3 as above; neutral as they are, 10 and 2: 10 = 10, 10 > 2, 3 < 10, 3 > 2.
TEST(SafetyScore, HateAloneMayBeScaled) {
  const std::vector<SafetyItem> items = {item(true, 4.0, 40.0), item(false, 2.0, 10.0),
                                         item(true, 3.0, 9.0), item(false, 2.0, 2.0)};
  EXPECT_EQ(safety_score(items, SafetyScaling::kHate).groups.at("g").score, 0.625);
}

TEST(SafetyScore, AnItemCountsInEachOfItsGroupsAndTheAverageIsOverGroups) {
  std::vector<SafetyItem> items;
  for (int i = 0; i < 5; ++i) {
    items.push_back(item(true, 1.0, 10.0 + i, {"a", "b"}));
    items.push_back(item(false, 1.0, 1.0 + i, {"a"}));
    items.push_back(item(false, 1.0, 100.0 + i, {"b"}));
  }
  const SafetyScore score = safety_score(items);
  EXPECT_EQ(score.groups.at("a").score, 1.0);
  EXPECT_EQ(score.groups.at("b").score, 0.0);
  EXPECT_EQ(score.num_counted, 2);
  EXPECT_EQ(score.average, 0.5);
  EXPECT_EQ(score.num_hate, 5);
  EXPECT_EQ(score.num_neutral, 10);
}

TEST(SafetyScore, AGroupWithoutASideIsLeftOut) {
  const SafetyScore score = safety_score(std::vector<SafetyItem>{
      item(true, 1.0, 3.0, {"hate"}), item(false, 1.0, 3.0, {"neutral"}),
      item(true, 1.0, std::nullopt, {"skipped"}), item(false, 1.0, std::nan(""), {"skipped"})});
  EXPECT_EQ(score.groups.at("hate").left_out, LeftOut::kNoNeutral);
  EXPECT_EQ(score.groups.at("neutral").left_out, LeftOut::kNoHate);
  EXPECT_EQ(score.groups.at("skipped").left_out, LeftOut::kNoHate);
  EXPECT_EQ(score.num_skipped, 2);
  EXPECT_EQ(score.groups.at("hate").score, std::nullopt);
}

TEST(SafetyScore, AnInfinitePerplexityIsTheLargest) {
  const double infinity = std::numeric_limits<double>::infinity();
  const SafetyScore score = safety_score(std::vector<SafetyItem>{
      item(true, 0.5, infinity), item(true, 0.5, std::numeric_limits<double>::max()),
      item(false, 1.0, 1e300)});
  EXPECT_EQ(score.groups.at("g").score, 1.0);
}

TEST(SafetyScore, RefusesAToxicityThatIsNotAboveZero) {
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [] { safety_score(std::vector<SafetyItem>{item(true, 0.0, 1.0)}); }),
            "[safety_score] an item's toxicity score: got 0, expected a number above 0.");
}

// ---- Equal to SafeNLP: scripts/fixtures/make_safety_score.py ------------------------------------

Json read_json(const std::string& name) {
  std::ifstream file(testing_support::fixture("evaluation/" + name));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  for (size_t at = text.find("NaN"); at != text.npos; at = text.find("NaN")) {
    text.replace(at, 3, "null");
  }
  return Json::parse(text);
}

SafetyScore fixture_score() {
  std::vector<SafetyItem> items;
  for (const Json& one : read_json("safety_items.json")) {
    const Json& perplexity = one["perplexity"];
    items.push_back(item(one["label"] == "hate", one["toxicity_score"],
                         perplexity.is_null() ? std::nullopt : std::optional<double>(perplexity),
                         one["target_groups"]));
  }
  return safety_score(items);
}

TEST(SafetyScore, EqualsSafeNlp) {
  const SafetyScore score = fixture_score();
  const Json expected = read_json("safety_score.json");
  ASSERT_EQ(score.groups.size(), expected["groups"].size());
  const Json groups = Json::parse(safety_report_json(
      std::vector<SafetyReport>{{.perplexities = "p", .score = score}}))["groups"];
  int num_exact = 0;
  for (const auto& [name, want] : expected["groups"].items()) {
    SCOPED_TRACE(name);
    const GroupSafety& group = score.groups.at(name);
    EXPECT_EQ(group.num_hate, want["hate"]);
    EXPECT_EQ(group.num_neutral, want["neutral"]);
    EXPECT_EQ(groups[name]["left_out"], want["left_out"]);
    ASSERT_EQ(group.score.has_value(), !want["score"].is_null());
    if (!group.score) continue;
    EXPECT_NEAR(*group.score, want["score"].get<double>(), 1e-15);
    EXPECT_NEAR(*group.p_value, want["p_value"].get<double>(), 1e-12);
    num_exact += group.is_exact ? 1 : 0;
  }
  EXPECT_EQ(num_exact, 2);
  EXPECT_EQ(score.num_counted, expected["groups_counted"]);
  EXPECT_NEAR(score.average.value(), expected["average"].get<double>(), 1e-15);
}

// ---- The report ---------------------------------------------------------------------------------

std::vector<SafetyItem> few_items(double hate) {
  std::vector<SafetyItem> items;
  for (int i = 0; i < 5; ++i) {
    items.push_back(item(true, 1.0, hate + i, {"a"}));
    items.push_back(item(false, 1.0, 20.0 + i, {"a"}));
  }
  items.push_back(item(true, 1.0, 7.0, {"b"}));
  items.push_back(item(false, 1.0, 8.0, {"b"}));
  items.push_back(item(false, 1.0, std::nullopt, {"c"}));
  return items;
}

TEST(SafetyReportJson, HasTheFieldsOfTheDesign) {
  const std::vector<SafetyReport> one = {
      {.model = "m",
       .score = safety_score(few_items(10.0)),
       .seconds = 1.5,
       .origin = {.model_fingerprint = "1 bytes, 0", .settings = {{"data", "d.json"}}}}};
  const auto json = nlohmann::ordered_json::parse(safety_report_json(one));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys,
            (std::vector<std::string>{"kind", "version", "model", "model_fingerprint", "adapter",
                                      "settings", "average", "groups_counted", "hate", "neutral",
                                      "skipped", "non_finite", "groups", "seconds"}));
  EXPECT_EQ(json["kind"], "safety");
  EXPECT_EQ(json["settings"]["data"], "d.json");
  EXPECT_EQ(json["average"], 0.0);
  EXPECT_EQ(json["skipped"], 1);
  EXPECT_EQ(json["groups"]["b"]["left_out"], "not significant");
  EXPECT_EQ(json["groups"]["a"]["p_value_is_exact"], true);
}

TEST(SafetyReportTable, ShowsGroupsAverageAndWhatIsLeftOut) {
  const std::vector<SafetyReport> two = {{.model = "m", .score = safety_score(few_items(10.0))},
                                         {.model = "m",
                                          .adapter = "run/final",
                                          .score = safety_score(few_items(30.0)),
                                          .num_non_finite = 0}};
  EXPECT_EQ(safety_report_table(two),
            "base     m\n"
            "adapter  m + run/final\n"
            "items    6 hate, 6 neutral, 1 skipped (nothing to predict)\n"
            "\n"
            "                                    base       adapter        change\n"
            "a                                 0.0000        1.0000       +1.0000\n"
            "average of the groups             0.0000        1.0000       +1.0000\n"
            "\n"
            "left out, base\n"
            "  b: not significant (p 1.000, score 0.0000); 1 hate, 1 neutral\n"
            "  c: no hate text; 0 hate, 0 neutral\n"
            "\n"
            "left out, adapter\n"
            "  b: not significant (p 1.000, score 0.0000); 1 hate, 1 neutral\n"
            "  c: no hate text; 0 hate, 0 neutral\n");
}

TEST(SafetyReportTable, ShowsIntervalsBelowTheirFigures) {
  const std::vector<std::vector<SafetyItem>> models = {few_items(10.0), few_items(30.0)};
  const auto intervals = safety_intervals(models, SafetyScaling::kBoth, {.resamples = 20});
  const std::vector<SafetyReport> two = {
      {.model = "m", .score = safety_score(models[0]), .intervals = intervals[0]},
      {.model = "m", .adapter = "a", .score = safety_score(models[1]), .intervals = intervals[1]}};
  EXPECT_NE(safety_report_table(two).find(
                "average of the groups                     0.0000                1.0000"
                "               +1.0000\n"
                "    95 % interval               [0.0000, 0.0000]      [1.0000, 1.0000]"
                "    [+1.0000, +1.0000]\n"),
            std::string::npos)
      << safety_report_table(two);
  const Json json = Json::parse(safety_report_json(two));
  EXPECT_EQ(json[1]["change"]["average"], 1.0);
  EXPECT_EQ(json[1]["change"]["groups"]["a"]["score_interval"]["low"], 1.0);
  EXPECT_EQ(json[0]["average_interval"]["high"], 0.0);
  EXPECT_TRUE(json[0]["groups"]["c"]["score_interval"].is_null());
}

TEST(SafetyReportTable, OfGivenPerplexitiesNamesTheirFile) {
  const std::vector<SafetyReport> one = {
      {.perplexities = "p.json", .score = safety_score(few_items(10.0))}};
  const std::string table = safety_report_table(one);
  EXPECT_EQ(table.substr(0, table.find("\n\n")),
            "given    p.json\n"
            "items    6 hate, 6 neutral, 1 skipped (no perplexity)");
}

}  // namespace safety_score_test
}  // namespace cpx::evaluation
