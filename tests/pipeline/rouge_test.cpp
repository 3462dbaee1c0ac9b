// SPDX-License-Identifier: Apache-2.0
// ROUGE-L and stems against rouge_score and NLTK (scripts/fixtures/make_rouge.py).
#include "cpx/pipeline/rouge.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/pipeline/porter_stemmer.h"

namespace cpx::pipeline {
namespace {

nlohmann::json read_fixture(const std::string& name) {
  std::ifstream file(std::string(CPX_SOURCE_DIR "/tests/fixtures/pipeline/") + name);
  return nlohmann::json::parse(file);
}

TEST(PorterStemmer, EveryStemIsThePeers) {
  const auto stems = read_fixture("stems.json");
  ASSERT_GT(stems.size(), 2500);
  for (const auto& [word, stem] : stems.items()) EXPECT_EQ(porter_stem(word), stem) << word;
}

void expect_equal(const RougeScore& actual, const nlohmann::json& expected,
                  const std::string& texts) {
  EXPECT_NEAR(actual.precision, expected[0], 1e-6) << texts;
  EXPECT_NEAR(actual.recall, expected[1], 1e-6) << texts;
  EXPECT_NEAR(actual.f, expected[2], 1e-6) << texts;
}

TEST(RougeL, EqualsThePeerWithAndWithoutStems) {
  const auto cases = read_fixture("rouge.json");
  ASSERT_GT(cases.size(), 150);
  for (const auto& one : cases) {
    const std::string reference = one["reference"], candidate = one["candidate"];
    const std::string texts = "'" + reference + "', '" + candidate + "'";
    expect_equal(rouge_l(reference, candidate, /*stems=*/false), one["plain"], texts);
    expect_equal(rouge_l(reference, candidate, /*stems=*/true), one["stemmed"], texts);
  }
}

// Common: "the hall", "clear": 3 of 5 and of 4 tokens; F = 2 * (3/4) * (3/5) / (3/4 + 3/5) = 2/3.
TEST(RougeL, ACaseByHand) {
  const RougeScore score = rouge_l("The hall has stayed clear.", "the HALL: not clear", false);
  EXPECT_DOUBLE_EQ(score.precision, 3.0 / 4.0);
  EXPECT_DOUBLE_EQ(score.recall, 3.0 / 5.0);
  EXPECT_NEAR(score.f, 2.0 / 3.0, 1e-15);
}

}  // namespace
}  // namespace cpx::pipeline
