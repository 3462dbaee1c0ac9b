// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/perplexity_summary.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/errors.h"

namespace cpx::objectives {
namespace perplexity_summary_test {

using Json = nlohmann::json;
using std::numbers::ln2;

// Toxic: 3 tokens of ln 8 in one text, 1 of 0 in another: perplexity exp(3 ln 8 / 4), mean of the
// texts' (8 + 1) / 2. Neutral: one text of ln 2.
std::vector<ScoredText> few_texts() {
  return {{Side::kToxic, "", 9.0 * ln2, 3},
          {Side::kToxic, "", 0.0, 1},
          {Side::kNeutral, "", 2.0 * ln2, 2}};
}

TEST(PerplexitySummary, IsTheValueComputedByHand) {
  const SideComparison all = summarize_perplexity(few_texts()).all;
  EXPECT_EQ(all.toxic.texts, 2);
  EXPECT_EQ(all.toxic.tokens, 4);
  EXPECT_NEAR(all.toxic.perplexity.value(), std::pow(2.0, 2.25), 1e-14);
  EXPECT_NEAR(all.toxic.mean_text_perplexity.value(), 4.5, 1e-14);
  EXPECT_NEAR(all.neutral.perplexity.value(), 2.0, 1e-15);
  EXPECT_NEAR(all.ratio.value(), std::pow(2.0, 1.25), 1e-14);
  EXPECT_EQ(all.separation.value(), 0.5);
  EXPECT_EQ(all.p_value.value(), 1.0);
}

TEST(PerplexitySummary, TextsWithoutATokenAreSkippedAndCounted) {
  std::vector<ScoredText> texts = few_texts();
  texts.push_back({Side::kNeutral, "only skipped", 0.0, 0});
  const PerplexitySummary summary = summarize_perplexity(texts);
  EXPECT_EQ(summary.all.neutral.texts, 1);
  EXPECT_EQ(summary.all.neutral.skipped, 1);
  EXPECT_EQ(summary.all.toxic.skipped, 0);
  EXPECT_NEAR(summary.all.neutral.perplexity.value(), 2.0, 1e-15);
  EXPECT_EQ(summary.groups.at("only skipped").neutral.skipped, 1);
  EXPECT_EQ(summary.groups.at("only skipped").neutral.perplexity, std::nullopt);
}

TEST(PerplexitySummary, AnEmptySideGivesNoNumber) {
  const SideComparison all =
      summarize_perplexity(std::vector<ScoredText>{{Side::kToxic, "", 1.0, 1}}).all;
  EXPECT_TRUE(all.toxic.perplexity.has_value());
  EXPECT_EQ(all.neutral.texts, 0);
  EXPECT_EQ(all.neutral.perplexity, std::nullopt);
  EXPECT_EQ(all.neutral.mean_text_perplexity, std::nullopt);
  EXPECT_EQ(all.ratio, std::nullopt);
  EXPECT_EQ(all.separation, std::nullopt);
  EXPECT_EQ(all.p_value, std::nullopt);
  EXPECT_EQ(summarize_perplexity({}).all.toxic.perplexity, std::nullopt);
}

TEST(PerplexitySummary, ANllThatIsNotFiniteIsCountedAndGivesNoNumber) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    std::vector<ScoredText> texts = few_texts();
    texts.push_back({Side::kToxic, "", bad, 1});
    const SideComparison all = summarize_perplexity(texts).all;
    EXPECT_EQ(all.toxic.non_finite, 1);
    EXPECT_EQ(all.toxic.perplexity, std::nullopt);
    EXPECT_EQ(all.toxic.mean_text_perplexity, std::nullopt);
    EXPECT_EQ(all.ratio, std::nullopt);
    EXPECT_EQ(all.separation, std::nullopt);
    EXPECT_TRUE(all.neutral.perplexity.has_value());
  }
}

TEST(PerplexitySummary, APerplexityBeyondTheNumbersIsNone) {
  const SideComparison all =
      summarize_perplexity(
          std::vector<ScoredText>{{Side::kToxic, "", 1000.0, 1}, {Side::kNeutral, "", 1.0, 1}})
          .all;
  EXPECT_EQ(all.toxic.non_finite, 0);
  EXPECT_EQ(all.toxic.perplexity, std::nullopt);
  EXPECT_EQ(all.separation.value(), 1.0);
}

TEST(PerplexitySummary, RefusesANegativeNumberOfTokens) {
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>([] {
              summarize_perplexity(std::vector<ScoredText>{{Side::kToxic, "", 1.0, -1}});
            }),
            "[summarize_perplexity] a text's tokens: got -1, expected 0 or more.");
}

// ---- Equal to scipy: scripts/fixtures/make_perplexity_summary.py --------------------------------

void expect_near(const std::optional<double>& value, const Json& expected) {
  ASSERT_TRUE(value.has_value());
  const double number = expected;
  EXPECT_NEAR(*value, number, 1e-10 * std::abs(number));
}

void expect_side(const SideSummary& side, const Json& expected) {
  EXPECT_EQ(side.texts, expected["texts"]);
  EXPECT_EQ(side.tokens, expected["tokens"]);
  expect_near(side.perplexity, expected["perplexity"]);
  expect_near(side.mean_text_perplexity, expected["mean_text_perplexity"]);
}

void expect_comparison(const SideComparison& comparison, const Json& expected) {
  expect_side(comparison.toxic, expected["toxic"]);
  expect_side(comparison.neutral, expected["neutral"]);
  expect_near(comparison.ratio, expected["ratio"]);
  expect_near(comparison.separation, expected["separation"]);
  expect_near(comparison.p_value, expected["p_value"]);
}

std::vector<ScoredText> read_texts(const Json& list) {
  std::vector<ScoredText> texts;
  for (const Json& text : list) {
    texts.push_back({.side = text["side"] == "toxic" ? Side::kToxic : Side::kNeutral,
                     .group = text["group"],
                     .nll_sum = text["nll_sum"],
                     .tokens = text["tokens"]});
  }
  return texts;
}

TEST(PerplexitySummary, EqualsScipy) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/perplexity_summary.json");
  const Json cases = Json::parse(file);
  ASSERT_GE(cases.size(), 5u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const PerplexitySummary summary = summarize_perplexity(read_texts(one["texts"]));
    expect_comparison(summary.all, one["all"]);
    ASSERT_EQ(summary.groups.size(), one["groups"].size());
    for (const auto& [name, group] : summary.groups) {
      SCOPED_TRACE(name);
      expect_comparison(group, one["groups"].at(name));
    }
  }
}

}  // namespace perplexity_summary_test
}  // namespace cpx::objectives
