// SPDX-License-Identifier: Apache-2.0
// Contrastive perplexity's push against the base, and its choice of tokens.
#include <cmath>
#include <gmock/gmock.h>
#include <numbers>
#include <string>

#include <gtest/gtest.h>

#include "cpx/objectives/contrastive_perplexity.h"
#include "tests/objectives/contrast_case.h"
#include "tests/objectives/gradient_check.h"

namespace cpx::objectives {
namespace bounded_push_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::ElementsAre;
using Options = ContrastiveOptions;

constexpr TextRole kPositive = TextRole::kPositive;
constexpr TextRole kHard = TextRole::kHardNegative;
constexpr TextRole kRandom = TextRole::kRandomNegative;

std::string error_of(const ContrastCase& one, const Options& options) {
  return invalid_argument_of([&] { run(one, options); });
}

constexpr Options kNpo{.push = Options::Push::kNpo, .push_aim = ln2};

// A positive, and negatives that have moved by 0 and by 2 ln 2 from the base.
ContrastCase two_pushed() {
  ContrastCase one;
  one.add(0, kPositive, {0.5, 1.5}, {0.5, 1.5});
  one.add(0, kHard, {1.0, 2.0}, {1.5, 1.5});
  one.add(0, kRandom, {3.0 * ln2}, {ln2});
  return one;
}

// softplus(ln 2) = ln 3 with slope 2/3, softplus(-ln 2) = ln (3/2) with slope 1/3; the mean of two.
TEST(ContrastivePerplexityPush, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(two_pushed(), kNpo);
  EXPECT_NEAR(result.loss, (std::log(3.0) + std::log(1.5)) / 2.0, 1e-15);
  EXPECT_FALSE(result.contrast.has_value());
  EXPECT_THAT(result.gradient,
              ElementsAre(0.0, 0.0, DoubleNear(-1.0 / 6.0, 1e-15), DoubleNear(-1.0 / 6.0, 1e-15),
                          DoubleNear(-1.0 / 6.0, 1e-15)));
}

// tau 2 halves the distance from the aim and doubles the loss; beta is a factor.
TEST(ContrastivePerplexityPush, BetaAndTauAreWhatTheyAre) {
  ContrastCase one;
  one.add(0, kPositive, {1.0}, {1.0});
  one.add(0, kHard, {1.0}, {1.0});
  Options options = kNpo;
  options.push_aim = 2.0 * ln2;
  options.tau = 2.0;
  options.beta = 5.0;
  const ObjectiveResult result = run(one, options);
  EXPECT_NEAR(result.loss, 5.0 * 2.0 * std::log(3.0), 1e-14);
  EXPECT_NEAR(result.gradient[1], -5.0 * 2.0 / 3.0, 1e-15);
}

TEST(ContrastivePerplexityPush, FadesFarPastTheAimAndNeverOverflows) {
  ContrastCase one;
  one.add(0, kPositive, {1.0}, {1.0});
  one.add(0, kHard, {1e4}, {0.0});
  EXPECT_EQ(run(one, kNpo).loss, 0.0);
  EXPECT_EQ(run(one, kNpo).gradient[1], 0.0);
  one.base_token_nll[1] = 2e4;  // far below: the push is linear
  EXPECT_NEAR(run(one, kNpo).loss, 1e4 + ln2, 1e-9);
  EXPECT_EQ(run(one, kNpo).gradient[1], -1.0);
}

// Of the first negative the second token alone: it has moved by 1/2, so x = ln 2 - 1/2.
TEST(ContrastivePerplexityPush, DifferingTokensAreTheMeanAndGetTheGradient) {
  ContrastCase one = two_pushed();
  one.texts[1].differing = {3};
  Options options = kNpo;
  options.push_tokens = Options::PushTokens::kDiffering;
  const ObjectiveResult result = run(one, options);
  const double odds = std::exp(ln2 - 0.5);
  EXPECT_NEAR(result.loss, (std::log(1.0 + odds) + std::log(1.5)) / 2.0, 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(0.0, 0.0, 0.0, DoubleNear(-odds / (1.0 + odds) / 2.0, 1e-15),
                          DoubleNear(-1.0 / 6.0, 1e-15)));
  EXPECT_DOUBLE_EQ(result.hard_negatives.text_nll_sum, 2.0);
  EXPECT_DOUBLE_EQ(result.hard_negatives.nll_sum, 3.0);
}

// Under the scores too: m of the negative is 1 + ln 2 whatever its other token
// is.
TEST(ContrastivePerplexityPush, DifferingTokensAreTheMeanOfScores) {
  ContrastCase one;
  one.add(0, kPositive, {0.5, 1.5});
  one.add(0, kHard, {7.0, 1.0 + ln2});
  one.texts[1].differing = {3};
  const ObjectiveResult result = run(one, {.push_tokens = Options::PushTokens::kDiffering});
  EXPECT_NEAR(result.contrast.value(), -0.25, 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(0.125, 1e-15), DoubleNear(0.125, 1e-15), 0.0,
                                           DoubleNear(-0.25, 1e-15)));
}

TEST(ContrastivePerplexityPush, RefusesWhatDoesNotFit) {
  ContrastCase one = two_pushed();
  one.texts[1].differing = {4};
  EXPECT_EQ(error_of(one, kNpo),
            "[contrastive_perplexity] text 1: got differing prediction 4, expected one of its own, "
            "2 to 3.");
  one = two_pushed();
  one.base_token_nll.clear();
  EXPECT_EQ(error_of(one, kNpo),
            "[contrastive_perplexity] the base's token NLLs are needed for centroid base, for hold "
            "and for push npo: got 0, expected 5.");
  one = two_pushed();
  StepCounts counts = one.counts();
  counts.negative_texts = 1;
  EXPECT_EQ(invalid_argument_of([&] { contrastive_perplexity(one.batch(), kNpo, counts); }),
            "[contrastive_perplexity] the step's counts are too small: got 1 negative texts, "
            "expected at least the 2 of this micro batch.");
  EXPECT_EQ(error_of(two_pushed(), {.push_aim = -1.0}),
            "[contrastive_perplexity] push_aim: got -1, expected 0 or more.");
}

}  // namespace bounded_push_test
}  // namespace cpx::objectives
