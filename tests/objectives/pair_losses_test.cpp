// SPDX-License-Identifier: Apache-2.0
// The losses of dpo beside its first four, and the other objectives over pairs: by hand, by finite
// differences, and at their limits. tests/objectives/preference_parity_test.cpp compares them with
// TRL.
#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>
#include <string>

#include <gtest/gtest.h>

#include "cpx/objectives/cpo.h"
#include "cpx/objectives/npo.h"
#include "cpx/objectives/orpo.h"
#include "tests/objectives/gradient_check.h"
#include "tests/objectives/option_names.h"
#include "tests/objectives/preference_case.h"
#include "tests/support/names.h"

namespace cpx::objectives {
namespace pair_losses_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::ElementsAre;
using Loss = DpoOptions::Loss;

const double ln3 = std::log(3.0);

// Log ratios: chosen 3 - 2 = 1, rejected 2 - 5 = -3, margin 4. Tokens: 2 and 1.
PreferenceCase one_pair() {
  PreferenceCase one;
  one.add({0.5, 1.5}, 3.0, {5.0}, 2.0);
  return one;
}

auto near_to(double a, double b, double c) {
  return ElementsAre(DoubleNear(a, 1e-14), DoubleNear(b, 1e-14), DoubleNear(c, 1e-14));
}

// ---- By hand ------------------------------------------------------------------------------------

// beta x = ln 3: (3/4, 1/4). From (3/4, 1/4) the KL is 0, and so is its slope; from (4/5, 1/5) it
// is 3/4 log(15/16) + 1/4 log(5/4), its slope by x 3/16 (log(15/16) - log(5/4)) = 3/16 log(3/4).
TEST(DpoExoPair, IsTheDivergenceFromTheSmoothedLabel) {
  const double beta = ln3 / 4.0;
  const DpoOptions same{.loss = Loss::kExoPair, .beta = beta, .label_smoothing = 0.25};
  EXPECT_NEAR(run(one_pair(), same).loss, 0.0, 1e-15);
  EXPECT_THAT(run(one_pair(), same).gradient, near_to(0.0, 0.0, 0.0));
  const DpoOptions other{.loss = Loss::kExoPair, .beta = beta, .label_smoothing = 0.2};
  const ObjectiveResult result = run(one_pair(), other);
  EXPECT_NEAR(result.loss, 0.75 * std::log(15.0 / 16.0) + 0.25 * std::log(1.25), 1e-15);
  const double slope = 3.0 / 16.0 * std::log(0.75) * beta;
  EXPECT_THAT(result.gradient, near_to(-slope, -slope, slope));
}

// Rewards ln 3 and -3 ln 3: sigmoids 3/4 and 1/28.
TEST(DpoNcaPair, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.loss = Loss::kNcaPair, .beta = ln3});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0) + ln2 + 0.5 * std::log(28.0 / 27.0), 1e-14);
  EXPECT_THAT(result.gradient, near_to(-ln3 / 8.0, -ln3 / 8.0, -ln3 / 56.0));
}

// 1 / (2 beta) = 1: (1 - 1)^2 + (-3 + 1)^2. The rewards that are reported stay beta * log ratio.
TEST(DpoSppoHard, AimsAtALogRatioOfHalfOverBeta) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.loss = Loss::kSppoHard, .beta = 0.5});
  EXPECT_NEAR(result.loss, 4.0, 1e-14);
  EXPECT_THAT(result.gradient, near_to(0.0, 0.0, 4.0));
  EXPECT_EQ(result.preferences.chosen_reward_sum, 0.5);
  EXPECT_EQ(result.preferences.rejected_reward_sum, -1.5);
}

// sigmoid(-ln 3) + sigmoid(-3 ln 3) = 1/4 + 1/28; slopes -3/16 and 27/784.
TEST(DpoApoZero, RaisesOneAndLowersTheOther) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.loss = Loss::kApoZero, .beta = ln3});
  EXPECT_NEAR(result.loss, 2.0 / 7.0, 1e-15);
  EXPECT_THAT(result.gradient, near_to(3.0 / 16.0 * ln3, 3.0 / 16.0 * ln3, -27.0 / 784.0 * ln3));
}

// sigmoid(ln 3) + sigmoid(-4 ln 3) = 3/4 + 1/82; slopes 3/16 - 81/6724 and 81/6724.
TEST(DpoApoDown, LowersBothAndOneMore) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.loss = Loss::kApoDown, .beta = ln3});
  EXPECT_NEAR(result.loss, 0.75 + 1.0 / 82.0, 1e-15);
  const double chosen = -(3.0 / 16.0 - 81.0 / 6724.0) * ln3;
  EXPECT_THAT(result.gradient, near_to(chosen, chosen, -81.0 / 6724.0 * ln3));
}

// x = ln 3, m = 3/4: 1/4 log(4/3) + 3/4 * 1/3. Slope: -1/4 * 1/4 - 3/4 * 1/3 + 3/16 (1/3 -
// log(4/3)).
TEST(DpoDiscopop, BlendsTwoLosses) {
  const double beta = ln3 / 4.0;
  const DpoOptions options{.loss = Loss::kDiscopop, .beta = beta, .discopop_tau = 1.0};
  const ObjectiveResult result = run(one_pair(), options);
  EXPECT_NEAR(result.loss, 0.25 * std::log(4.0 / 3.0) + 0.25, 1e-15);
  const double slope = beta * (-1.0 / 16.0 - 0.25 + 3.0 / 16.0 * (1.0 / 3.0 - std::log(4.0 / 3.0)));
  EXPECT_THAT(result.gradient, near_to(-slope, -slope, slope));
}

// exp(-x) alone overflows here; the mixture is the logistic loss.
TEST(DpoDiscopop, MarginsOfAnySizeStayExact) {
  PreferenceCase one;
  one.add({1000.0}, 0.0, {1.0}, 1.0);  // log ratios -1000 and 0
  const ObjectiveResult result = run(one, DpoOptions{.loss = Loss::kDiscopop, .beta = 1.0});
  EXPECT_EQ(result.loss, 1000.0);
  EXPECT_THAT(result.gradient, ElementsAre(1.0, -1.0));
}

// Mean log ratios 1/2 and -3, so beta x = ln 3 at beta = ln 3 / 3.5.
TEST(DpoSigmoidNorm, AveragesOverTheAnswersTokens) {
  const double beta = ln3 / 3.5;
  const ObjectiveResult result =
      run(one_pair(), DpoOptions{.loss = Loss::kSigmoidNorm, .beta = beta});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0), 1e-15);
  EXPECT_THAT(result.gradient, near_to(beta / 8.0, beta / 8.0, -beta / 4.0));
  EXPECT_NEAR(result.preferences.chosen_reward_sum, beta, 1e-15);
}

// The chosen answer's mean NLL is 1.
TEST(DpoRpo, AddsTheChosenAnswersNll) {
  const double beta = ln3 / 4.0;
  const ObjectiveResult result = run(one_pair(), DpoOptions{.beta = beta, .rpo_alpha = 3.0});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0) + 3.0, 1e-15);
  EXPECT_THAT(result.gradient, near_to(beta / 4.0 + 1.5, beta / 4.0 + 1.5, -beta / 4.0));
}

// Probabilities 1/2 and 1/4: odds 1 and 1/3, so -log sigmoid(ln 3) = log(4/3); NLL ln 2. Slopes of
// the mean log-probabilities: -1/4 / (1 - 1/2) and 1/4 / (1 - 1/4).
TEST(Orpo, IsTheValueComputedByHand) {
  PreferenceCase one;
  one.add({ln2}, 100.0, {2.0 * ln2}, 200.0);  // references are not read
  const ObjectiveResult result = run(one, OrpoOptions{.beta = 0.3});
  EXPECT_NEAR(result.loss, ln2 + 0.3 * std::log(4.0 / 3.0), 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(1.0 + 0.3 / 2.0, 1e-15), DoubleNear(-0.3 / 3.0, 1e-15)));
  EXPECT_NEAR(result.preferences.chosen_reward_sum, -0.3 * ln2, 1e-15);
}

// Log-probabilities -2 and -5; the chosen answer's mean NLL is 1.
TEST(Cpo, IsTheValueComputedByHand) {
  const double beta = ln3 / 3.0;
  const ObjectiveResult result = run(one_pair(), CpoOptions{.beta = beta, .cpo_alpha = 0.5});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0) + 0.5, 1e-15);
  EXPECT_THAT(result.gradient, near_to(beta / 4.0 + 0.25, beta / 4.0 + 0.25, -beta / 4.0));
  EXPECT_NEAR(result.preferences.rejected_reward_sum, -5.0 * beta, 1e-15);
}

// Reward of the rejected answer -ln 3: (2 / beta) log(1 + 1/3), slope by its reward (2 / beta) / 4.
TEST(Npo, IsTheValueComputedByHand) {
  const double beta = ln3 / 3.0;
  const ObjectiveResult result = run(one_pair(), NpoOptions{.beta = beta});
  EXPECT_NEAR(result.loss, 2.0 / beta * std::log(4.0 / 3.0), 1e-14);
  EXPECT_THAT(result.gradient, near_to(0.0, 0.0, -0.5));
}

// The paper's limit: beta to 0 is gradient ascent on the rejected answer.
TEST(Npo, SmallBetaIsGradientAscent) {
  EXPECT_NEAR(run(one_pair(), NpoOptions{.beta = 1e-9}).gradient[2], -1.0, 1e-8);
}

// A push that fades: far below the reference nothing is left of it.
TEST(Npo, PushFadesBelowTheReference) {
  PreferenceCase one;
  one.add({1.0}, 1.0, {101.0}, 1.0);
  EXPECT_NEAR(run(one, NpoOptions{.beta = 1.0}).gradient[1], 0.0, 1e-40);
}

// ---- Gradients and values that are not finite ---------------------------------------------------

class DpoLosses : public testing::TestWithParam<Loss> {};
INSTANTIATE_TEST_SUITE_P(All, DpoLosses,
                         testing::Values(Loss::kSigmoid, Loss::kHinge, Loss::kIpo, Loss::kRobust,
                                         Loss::kExoPair, Loss::kNcaPair, Loss::kSppoHard,
                                         Loss::kApoZero, Loss::kApoDown, Loss::kDiscopop,
                                         Loss::kSigmoidNorm),
                         testing_support::by_value);

TEST_P(DpoLosses, GradientMatchesFiniteDifference) {
  uint64_t seed = 600;
  for (const double beta : {0.05, 0.4, 2.0}) {
    const DpoOptions options{.loss = GetParam(),
                             .beta = beta,
                             .label_smoothing = smooths(GetParam()) ? 0.2 : 0.0,
                             .discopop_tau = 0.5,
                             .rpo_alpha = 0.3};
    expect_gradient_matches(random_preferences(5, 1, ++seed), options, std::to_string(beta));
  }
}

TEST_P(DpoLosses, NllThatIsNotFiniteMakesTheLossNaN) {
  const double smoothing = smooths(GetParam()) ? 0.1 : 0.0;
  const DpoOptions options{.loss = GetParam(), .label_smoothing = smoothing};
  PreferenceCase one = one_pair();
  one.token_nll[2] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(run(one, options).loss));
}

TEST(Orpo, GradientMatchesFiniteDifference) {
  for (const double beta : {0.1, 1.0}) {
    expect_gradient_matches(random_preferences(5, 1, 701), OrpoOptions{.beta = beta}, "orpo");
  }
}

TEST(Cpo, GradientMatchesFiniteDifference) {
  using CpoLoss = CpoOptions::Loss;
  for (const auto loss : {CpoLoss::kSigmoid, CpoLoss::kHinge, CpoLoss::kIpo}) {
    expect_gradient_matches(random_preferences(5, 1, 702), CpoOptions{.loss = loss, .beta = 0.3},
                            "cpo");
  }
}

TEST(Npo, GradientMatchesFiniteDifference) {
  for (const double beta : {0.1, 1.0}) {
    expect_gradient_matches(random_preferences(5, 1, 703),
                            NpoOptions{.beta = beta, .sft_weight = 0.5}, "npo");
  }
}

// ---- Errors -------------------------------------------------------------------------------------

TEST(DpoExoPair, WithoutSmoothingIsAnError) {
  EXPECT_EQ(invalid_argument_of([] { run(one_pair(), DpoOptions{.loss = Loss::kExoPair}); }),
            "[dpo] label_smoothing with loss exo_pair: got 0, expected more.");
}

TEST(DpoDiscopop, TemperatureOfZeroIsAnError) {
  EXPECT_EQ(invalid_argument_of([] { run(one_pair(), DpoOptions{.discopop_tau = 0.0}); }),
            "[dpo] discopop_tau: got 0, expected more than 0.");
}

TEST(Cpo, SmoothingBesideHingeIsAnError) {
  const CpoOptions options{.loss = CpoOptions::Loss::kHinge, .label_smoothing = 0.1};
  EXPECT_EQ(invalid_argument_of([&] { run(one_pair(), options); }),
            "[cpo] label_smoothing with loss hinge: got 0.1, expected 0.");
}

}  // namespace pair_losses_test
}  // namespace cpx::objectives
