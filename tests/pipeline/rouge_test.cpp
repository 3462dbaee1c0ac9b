// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/rouge.h"

#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "cpx/core/random.h"

namespace cpx::pipeline {
namespace rouge_test {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using Tokens = std::vector<std::string>;

constexpr double kTolerance = 1e-6;

void expect_score(const RougeScore& score, const Json& expected, const std::string& what) {
  EXPECT_NEAR(score.precision, expected.at(0).get<double>(), kTolerance) << what;
  EXPECT_NEAR(score.recall, expected.at(1).get<double>(), kTolerance) << what;
  EXPECT_NEAR(score.f, expected.at(2).get<double>(), kTolerance) << what;
}

void expect_case(const Json& pair, bool use_stemmer) {
  const Json& expected = pair.at(use_stemmer ? "stemmed" : "plain");
  const Tokens target = rouge_tokens(pair.at("target").get<std::string>(), use_stemmer);
  const Tokens prediction = rouge_tokens(pair.at("prediction").get<std::string>(), use_stemmer);
  const std::string what = pair.dump().substr(0, 200) + (use_stemmer ? " stemmed" : "");
  expect_score(rouge_l(target, prediction), expected.at("rougeL"), "rougeL " + what);
  expect_score(rouge_n(target, prediction, 1), expected.at("rouge1"), "rouge1 " + what);
  expect_score(rouge_n(target, prediction, 2), expected.at("rouge2"), "rouge2 " + what);
}

TEST(Rouge, EqualsGooglesOnTheFixture) {
  const Json pairs =
      Json::parse(std::ifstream(CPX_SOURCE_DIR "/tests/fixtures/pipeline/rouge.json"));
  EXPECT_GT(pairs.size(), 100);
  for (const Json& pair : pairs) {
    expect_case(pair, /*use_stemmer=*/false);
    expect_case(pair, /*use_stemmer=*/true);
  }
}

// Lin 2004, section 3.1: the first candidate shares 3 of 4 words in order, the second 2 of 4.
TEST(Rouge, IsTheValueOfThePaper) {
  const Tokens target = {"police", "killed", "the", "gunman"};
  EXPECT_EQ(rouge_l(target, Tokens{"police", "kill", "the", "gunman"}).f, 0.75);
  EXPECT_EQ(rouge_l(target, Tokens{"the", "gunman", "kill", "police"}).f, 0.5);
}

// 2 common words in order of 5 and 4: P 2/4, R 2/5, F 4/9. Bigrams: 1 of 3 and 4.
TEST(Rouge, IsTheValueComputedByHand) {
  const Tokens target = {"a", "b", "c", "d", "e"};
  const Tokens prediction = {"x", "d", "e", "a"};
  const RougeScore score = rouge_l(target, prediction);
  EXPECT_DOUBLE_EQ(score.precision, 0.5);
  EXPECT_DOUBLE_EQ(score.recall, 0.4);
  EXPECT_DOUBLE_EQ(score.f, 4.0 / 9.0);
  EXPECT_DOUBLE_EQ(rouge_n(target, prediction, 1).f, 6.0 / 9.0);
  EXPECT_DOUBLE_EQ(rouge_n(target, prediction, 2).f, 2.0 / 7.0);
  EXPECT_DOUBLE_EQ(rouge_n(target, prediction, 4).f, 0.0);
}

// Length of the longest common subsequence by the table of its definition.
double table_length(const Tokens& a, const Tokens& b) {
  std::vector<double> row(b.size() + 1, 0.0);
  for (const std::string& token : a) {
    double diagonal = 0.0;
    for (size_t j = 0; j < b.size(); ++j) {
      const double above = row[j + 1];
      row[j + 1] = token == b[j] ? diagonal + 1.0 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

TEST(Rouge, LengthOfTheSubsequenceEqualsTheTable) {
  CounterRng rng(1, {});
  for (int i = 0; i < 300; ++i) {
    const uint64_t num_words = 1 + rng.below(6);
    Tokens target(1 + rng.below(200));
    Tokens prediction(1 + rng.below(200));
    for (Tokens* tokens : {&target, &prediction}) {
      for (std::string& token : *tokens) token = std::to_string(rng.below(num_words));
    }
    const double length = rouge_l(target, prediction).recall * static_cast<double>(target.size());
    EXPECT_NEAR(length, table_length(target, prediction), 1e-9);
  }
}

TEST(Rouge, TokensAreLettersAndDigitsInLowerCase) {
  EXPECT_THAT(rouge_tokens("It's 3.5 O'Clock_now!", false),
              ElementsAre("it", "s", "3", "5", "o", "clock", "now"));
  EXPECT_THAT(rouge_tokens("Running as cats", true), ElementsAre("run", "as", "cat"));
  EXPECT_THAT(rouge_tokens("was has bus", true), ElementsAre("was", "has", "bus"));  // 3 letters
  EXPECT_THAT(rouge_tokens("caf\xC3\xA9s \xFF\xE2\x84", false), ElementsAre("caf", "s"));
  EXPECT_THAT(rouge_tokens(" ?!", false), IsEmpty());
}

TEST(Rouge, NgramsOfNoTokenAreAMistake) {
  EXPECT_THROW(rouge_n(Tokens{"a"}, Tokens{"a"}, 0), std::invalid_argument);
}

}  // namespace rouge_test
}  // namespace cpx::pipeline
