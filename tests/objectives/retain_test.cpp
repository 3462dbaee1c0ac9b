// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/retain.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/objectives/contrastive_perplexity.h"
#include "tests/objectives/contrast_case.h"
#include "tests/support/errors.h"

namespace cpx::objectives {
namespace retain_test {

using testing::ElementsAre;

std::string error_of(const std::vector<TokenRange>& texts, const std::vector<double>& nll,
                     const std::vector<double>& base, int64_t step_tokens) {
  return testing_support::message_of<std::invalid_argument>(
      [&] { retain(texts, nll, base, /*weight=*/1.0, step_tokens); });
}

// Differences 0.5, -1, 2 of the texts' tokens: 2 * (0.25 + 1 + 4) / 4; slopes 2 * 2 * d / 4.
TEST(Retain, IsTheWeightedMeanSquaredDistanceFromTheBase) {
  const std::vector<TokenRange> texts = {{0, 2}, {3, 1}};
  const std::vector<double> nll = {1.5, 2.0, 9.0, 5.0};
  const std::vector<double> base = {1.0, 3.0, 0.0, 3.0};
  const ObjectiveResult result = retain(texts, nll, base, /*weight=*/2.0, /*step_tokens=*/4);
  EXPECT_EQ(result.loss, 2.625);
  EXPECT_THAT(result.gradient, ElementsAre(0.5, -1.0, 0.0, 2.0));
  EXPECT_EQ(result.positives.tokens, 3);
  EXPECT_EQ(result.positives.nll_sum, 8.5);
}

TEST(Retain, IsWhatHoldDoesToPositives) {
  const ContrastCase one = random_case({.num_groups = 2, .hard_negatives = 0}, /*seed=*/31);
  ContrastCase positives{.num_groups = 2};
  std::vector<TokenRange> texts;
  for (const ContrastText& text : one.texts) {
    if (text.role == TextRole::kPositive) {
      positives.texts.push_back(text);
      texts.push_back({.first = text.first, .count = text.count});
    }
  }
  positives.token_nll = one.token_nll;
  positives.base_token_nll = one.base_token_nll;
  const ObjectiveResult held = run(positives, {.beta = 0.0, .hold = 0.7});
  const ObjectiveResult retained = retain(texts, one.token_nll, one.base_token_nll, /*weight=*/0.7,
                                          positives.counts().positive_tokens);
  EXPECT_GT(retained.loss, 0.0);
  EXPECT_DOUBLE_EQ(retained.loss, held.loss);
  EXPECT_EQ(retained.gradient, held.gradient);
}

TEST(Retain, GradientMatchesFiniteDifference) {
  const std::vector<TokenRange> texts = {{0, 2}, {2, 1}};
  const std::vector<double> nll = {0.5, 2.0, 1.25};
  const std::vector<double> base = {0.75, 1.0, 1.0};
  const auto loss = [&](const std::vector<double>& at) {
    return retain(texts, at, base, /*weight=*/0.3, /*step_tokens=*/7).loss;
  };
  const std::vector<double> gradient = retain(texts, nll, base, 0.3, 7).gradient;
  for (size_t i = 0; i < nll.size(); ++i) {
    std::vector<double> above = nll;
    std::vector<double> below = nll;
    above[i] += 0.25;
    below[i] -= 0.25;
    EXPECT_NEAR(gradient[i], (loss(above) - loss(below)) / 0.5, 1e-15);
  }
}

TEST(Retain, TextWhereTheBaseHasItGivesNothing) {
  const std::vector<double> nll = {1.0, 2.0};
  const ObjectiveResult result = retain(std::vector<TokenRange>{{0, 2}}, nll, nll, 5.0, 2);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_THAT(result.gradient, ElementsAre(0.0, 0.0));
}

TEST(Retain, NllThatIsNotFiniteGivesALossThatIsNot) {
  const std::vector<double> infinite = {std::numeric_limits<double>::infinity()};
  const std::vector<double> finite = {1.0};
  EXPECT_FALSE(std::isfinite(retain(std::vector<TokenRange>{{0, 1}}, infinite, finite, 1, 1).loss));
  EXPECT_FALSE(std::isfinite(retain(std::vector<TokenRange>{{0, 1}}, finite, infinite, 1, 1).loss));
}

TEST(Retain, RefusesTextsAndCountsThatDoNotFit) {
  EXPECT_EQ(error_of({{0, 0}}, {1.0}, {1.0}, 1),
            "[retain] text 0 has no predicted token: got count 0, expected 1 or more.");
  EXPECT_EQ(error_of({{1, 1}}, {1.0}, {1.0}, 1),
            "[retain] text 0 leaves the predictions: got first 1 and count 1, expected them within "
            "1 predictions.");
  EXPECT_EQ(error_of({{0, 1}}, {1.0}, {}, 1), "[retain] the base's token NLLs: got 0, expected 1.");
  EXPECT_EQ(error_of({{0, 2}}, {1.0, 1.0}, {1.0, 1.0}, 1),
            "[retain] the step's count is too small: got 1 predicted tokens, expected at least the "
            "2 of this micro batch.");
}

}  // namespace retain_test
}  // namespace cpx::objectives
