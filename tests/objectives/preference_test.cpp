// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/preference.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/objectives/gradient_check.h"
#include "tests/objectives/preference_case.h"

namespace cpx::objectives {
namespace preference_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using DpoLoss = DpoOptions::Loss;
using SimpoLoss = SimpoOptions::Loss;

const double ln3 = std::log(3.0);

// Log ratios: chosen 3 - 2 = 1, rejected 2 - 5 = -3, so h = 4. Tokens: 2 and 1.
PreferenceCase one_pair() {
  PreferenceCase one;
  one.add({0.5, 1.5}, 3.0, {5.0}, 2.0);
  return one;
}

ObjectiveResult run(const PreferenceCase& one, const DpoOptions& options, const StepCounts& step) {
  return dpo(one.batch(), options, step);
}

ObjectiveResult run(const PreferenceCase& one, const SimpoOptions& options,
                    const StepCounts& step) {
  return simpo(one.batch(), options, step);
}

template <class Options>
std::string error_of(const PreferenceCase& one, const Options& options, const StepCounts& step) {
  return invalid_argument_of([&] { run(one, options, step); });
}

template <class Options>
std::string error_of(const PreferenceCase& one, const Options& options) {
  return error_of(one, options, one.counts());
}

// ---- By hand ------------------------------------------------------------------------------------

// beta h = ln 3: -log sigmoid = log(1 + 1/3) = log(4/3), slope by the margin -sigmoid(-ln 3) =
// -1/4; a chosen token gets +beta / 4, a rejected one -beta / 4.
TEST(Dpo, SigmoidIsTheValueComputedByHand) {
  const double beta = ln3 / 4.0;
  const ObjectiveResult result = run(one_pair(), DpoOptions{.beta = beta});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0), 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(beta / 4.0, 1e-15), DoubleNear(beta / 4.0, 1e-15),
                          DoubleNear(-beta / 4.0, 1e-15)));
  EXPECT_EQ(result.contrast, std::nullopt);
}

// Rewards beta * (1, -3); the sums are those of the answers' own tokens.
TEST(Dpo, ReportsRewardsAndAnswers) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.beta = 0.5});
  EXPECT_EQ(result.preferences.pairs, 1);
  EXPECT_EQ(result.preferences.num_correct, 1);
  EXPECT_EQ(result.preferences.chosen_reward_sum, 0.5);
  EXPECT_EQ(result.preferences.rejected_reward_sum, -1.5);
  EXPECT_EQ(result.positives.tokens, 2);
  EXPECT_EQ(result.positives.nll_sum, 2.0);
  EXPECT_EQ(result.positives.text_nll_sum, 1.0);
  EXPECT_EQ(result.hard_negatives.texts, 1);
  EXPECT_EQ(result.hard_negatives.nll_sum, 5.0);
}

// 0.8 log(4/3) + 0.2 log 4 = log 4 - 0.8 log 3; slope -0.8 / 4 + 0.2 * 3 / 4 = -0.05.
TEST(Dpo, LabelSmoothingMixesInTheFlippedLabel) {
  const double beta = ln3 / 4.0;
  const ObjectiveResult result = run(one_pair(), DpoOptions{.beta = beta, .label_smoothing = 0.2});
  EXPECT_NEAR(result.loss, std::log(4.0) - 0.8 * ln3, 1e-15);
  EXPECT_NEAR(result.gradient[2], -0.05 * beta, 1e-15);
}

// (0.8 log(4/3) - 0.2 log 4) / 0.6 = log 4 - 4/3 log 3; slope -(0.8 / 4 + 0.2 * 3 / 4) / 0.6.
TEST(Dpo, RobustTakesTheFlippedLabelAway) {
  const double beta = ln3 / 4.0;
  const ObjectiveResult result =
      run(one_pair(), DpoOptions{.loss = DpoLoss::kRobust, .beta = beta, .label_smoothing = 0.2});
  EXPECT_NEAR(result.loss, std::log(4.0) - 4.0 / 3.0 * ln3, 1e-15);
  EXPECT_NEAR(result.gradient[2], -0.35 / 0.6 * beta, 1e-15);
}

// 1 - h/8 = 1/2 below the bend, nothing at it (h/4 = 1) and above.
TEST(Dpo, HingeEndsAtAMarginOfOne) {
  const ObjectiveResult below = run(one_pair(), DpoOptions{.loss = DpoLoss::kHinge, .beta = 0.125});
  EXPECT_EQ(below.loss, 0.5);
  EXPECT_THAT(below.gradient, ElementsAre(0.125, 0.125, -0.125));
  for (const double beta : {0.25, 3.0}) {
    const ObjectiveResult above =
        run(one_pair(), DpoOptions{.loss = DpoLoss::kHinge, .beta = beta});
    EXPECT_EQ(above.loss, 0.0);
    EXPECT_THAT(above.gradient, Each(0.0));
  }
}

// Mean log ratios 1/2 and -3: (3.5 - 1 / (2 * 0.2))^2 = 1, slope 2; tokens weigh 1/2 and 1. The
// rewards that are reported stay those of whole answers.
TEST(Dpo, IpoAveragesOverTheAnswersTokens) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.loss = DpoLoss::kIpo, .beta = 0.2});
  EXPECT_NEAR(result.loss, 1.0, 1e-14);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(-1.0, 1e-14), DoubleNear(-1.0, 1e-14),
                                           DoubleNear(2.0, 1e-14)));
  EXPECT_NEAR(result.preferences.chosen_reward_sum, 0.2, 1e-15);
  EXPECT_NEAR(result.preferences.rejected_reward_sum, -0.6, 1e-15);
}

// Rewards ln 2 against ln 1 and ln 3: -log(2 / 6); probabilities 1/3, 1/6, 1/2, so a chosen token
// gets 1 - 1/3, the rejected ones -1/6 and -1/2. Not above both: not correct.
TEST(Dpo, SeveralRejectedAnswersCompeteInOneSoftmax) {
  PreferenceCase one;
  const Answer chosen = one.answer({1.0}, 1.0 + ln2);
  one.preferences.push_back(
      {.chosen = chosen, .rejected = {one.answer({2.0}, 2.0), one.answer({3.0}, 3.0 + ln3)}});
  const ObjectiveResult result = run(one, DpoOptions{.beta = 1.0});
  EXPECT_NEAR(result.loss, ln3, 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(2.0 / 3.0, 1e-15),
                                           DoubleNear(-1.0 / 6.0, 1e-15), DoubleNear(-0.5, 1e-15)));
  EXPECT_EQ(result.preferences.num_correct, 0);
  EXPECT_NEAR(result.preferences.rejected_reward_sum, ln3 / 2.0, 1e-15);
}

// Mean NLL 1 and 3 at beta 2: margin 4 - 2 * gamma_beta_ratio. With ratio 2 - ln(3) / 2 it is ln 3,
// so the slope is -1/4; a chosen token gets beta / 2 tokens / 4, the rejected one -beta / 4.
TEST(Simpo, SigmoidIsTheValueComputedByHand) {
  PreferenceCase one;
  one.add({0.5, 1.5}, 100.0, {3.0}, 200.0);  // the reference is not read
  const ObjectiveResult result = run(one, SimpoOptions{.gamma_beta_ratio = 2.0 - ln3 / 2.0});
  EXPECT_NEAR(result.loss, std::log(4.0 / 3.0), 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(0.25, 1e-15), DoubleNear(0.25, 1e-15),
                                           DoubleNear(-0.5, 1e-15)));
  EXPECT_EQ(result.preferences.chosen_reward_sum, -2.0);
  EXPECT_EQ(result.preferences.rejected_reward_sum, -6.0);
}

// Margin 0.25 * 2 - 0.25 * 1 = 0.25, so 0.75, plus the sft term 3 * (0.5 + 1.5) / 4 = 1.5.
// Tokens: chosen 0.25 / 2 + 3 / 4, rejected -0.25.
TEST(Simpo, HingeAndSftAddUp) {
  PreferenceCase one;
  one.add({0.5, 1.5}, 0.0, {3.0}, 0.0);
  StepCounts step = one.counts();
  step.positive_tokens = 4;
  const SimpoOptions options{
      .loss = SimpoLoss::kHinge, .beta = 0.25, .gamma_beta_ratio = 1.0, .sft_weight = 3.0};
  const ObjectiveResult result = simpo(one.batch(), options, step);
  EXPECT_NEAR(result.loss, 2.25, 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(0.875, 0.875, -0.25));
}

// ---- Limits -------------------------------------------------------------------------------------

TEST(Dpo, BetaToZeroKnowsNothing) {
  const ObjectiveResult result = run(one_pair(), DpoOptions{.beta = 1e-12});
  EXPECT_NEAR(result.loss, ln2, 1e-11);
  EXPECT_THAT(result.gradient, Each(DoubleNear(0.0, 1e-12)));
}

// The same numbers on both sides: no margin, and the two sides pull apart with equal force.
TEST(Preference, EqualAnswersHaveNoMargin) {
  PreferenceCase one;
  one.add({1.0, 2.0}, 4.0, {1.0, 2.0}, 4.0);
  const ObjectiveResult sigmoid = run(one, DpoOptions{});
  EXPECT_EQ(sigmoid.loss, ln2);
  EXPECT_THAT(sigmoid.gradient, ElementsAre(0.05, 0.05, -0.05, -0.05));
  EXPECT_EQ(sigmoid.preferences.num_correct, 0);
  EXPECT_EQ(run(one, DpoOptions{.loss = DpoLoss::kHinge}).loss, 1.0);
  EXPECT_EQ(run(one, DpoOptions{.loss = DpoLoss::kIpo, .beta = 0.5}).loss, 1.0);
  EXPECT_NEAR(run(one, DpoOptions{.loss = DpoLoss::kRobust, .label_smoothing = 0.1}).loss, ln2,
              1e-15);
  EXPECT_EQ(run(one, SimpoOptions{.gamma_beta_ratio = 0.0}).loss, ln2);
}

TEST(Dpo, PolicyThatIsTheReferenceStartsAtLogTwo) {
  PreferenceCase one;
  one.add({1.0, 2.0}, 3.0, {7.0}, 7.0);
  EXPECT_EQ(run(one, DpoOptions{}).loss, ln2);
  EXPECT_EQ(run(one, DpoOptions{}).preferences.chosen_reward_sum, 0.0);
}

TEST(Dpo, MarginsOfAnySizeStayExact) {
  PreferenceCase one;
  one.add({1.0}, 1001.0, {2.0}, 2.0);  // h = 1000
  EXPECT_EQ(run(one, DpoOptions{.beta = 1.0}).loss, 0.0);
  std::swap(one.preferences[0].chosen, one.preferences[0].rejected[0]);
  const ObjectiveResult wrong = run(one, DpoOptions{.beta = 1.0});
  EXPECT_EQ(wrong.loss, 1000.0);
  EXPECT_THAT(wrong.gradient, ElementsAre(-1.0, 1.0));
}

TEST(Dpo, RobustWithoutSmoothingIsSigmoid) {
  const PreferenceCase one = random_preferences(5, 1, /*seed=*/41);
  const ObjectiveResult plain = run(one, DpoOptions{.beta = 0.7});
  const ObjectiveResult robust = run(one, DpoOptions{.loss = DpoLoss::kRobust, .beta = 0.7});
  EXPECT_EQ(robust.loss, plain.loss);
  EXPECT_EQ(robust.gradient, plain.gradient);
}

// Under the reference's distribution of flips the robust loss is unbiased: (1 - e) of it plus e of
// that with the two answers exchanged is the loss of the clean label.
TEST(Dpo, RobustIsUnbiasedUnderFlips) {
  PreferenceCase one = random_preferences(1, 1, /*seed=*/42);
  const double clean = run(one, DpoOptions{.beta = 0.7}).loss;
  const DpoOptions robust{.loss = DpoLoss::kRobust, .beta = 0.7, .label_smoothing = 0.3};
  const double kept = run(one, robust).loss;
  std::swap(one.preferences[0].chosen, one.preferences[0].rejected[0]);
  EXPECT_NEAR(0.7 * kept + 0.3 * run(one, robust).loss, clean, 1e-14);
}

TEST(Dpo, RejectedAnswerOfNoWeightChangesNothing) {
  PreferenceCase one = random_preferences(1, 1, /*seed=*/43);
  const ObjectiveResult without = run(one, DpoOptions{.beta = 1.0});
  one.preferences[0].rejected.push_back(one.answer({1000.0}, 0.0));
  const ObjectiveResult with = run(one, DpoOptions{.beta = 1.0});
  EXPECT_EQ(with.loss, without.loss);
  EXPECT_EQ(with.gradient.back(), 0.0);
}

TEST(Preference, PredictionsOutsideTheAnswersGetNoGradient) {
  PreferenceCase one = one_pair();
  one.token_nll.insert(one.token_nll.begin(), 9.0);  // a prompt's
  Preference& pair = one.preferences[0];
  pair.chosen.tokens.first += 1;
  pair.rejected[0].tokens.first += 1;
  const ObjectiveResult result = run(one, DpoOptions{});
  EXPECT_EQ(result.gradient[0], 0.0);
  EXPECT_EQ(result.loss, run(one_pair(), DpoOptions{}).loss);
}

TEST(Preference, NllThatIsNotFiniteMakesTheLossNaN) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double bad : {kInfinity, -kInfinity, std::nan("")}) {
    for (const auto loss : {DpoLoss::kSigmoid, DpoLoss::kHinge, DpoLoss::kIpo, DpoLoss::kRobust}) {
      for (size_t i = 0; i < 3; ++i) {
        PreferenceCase one = one_pair();
        one.token_nll[i] = bad;
        EXPECT_TRUE(std::isnan(run(one, DpoOptions{.loss = loss}).loss));
        EXPECT_TRUE(std::isnan(run(one, SimpoOptions{}).loss));
      }
      PreferenceCase one = one_pair();
      one.preferences[0].rejected[0].reference_nll = bad;
      EXPECT_TRUE(std::isnan(run(one, DpoOptions{.loss = loss}).loss));
      EXPECT_FALSE(std::isnan(run(one, SimpoOptions{}).loss));
    }
  }
}

// ---- Gradient -----------------------------------------------------------------------------------

TEST(Dpo, GradientMatchesFiniteDifference) {
  uint64_t seed = 300;
  for (const auto loss : {DpoLoss::kSigmoid, DpoLoss::kHinge, DpoLoss::kIpo, DpoLoss::kRobust}) {
    const bool is_smooth = loss == DpoLoss::kSigmoid || loss == DpoLoss::kRobust;
    for (const double beta : {0.05, 0.4, 2.0}) {
      for (const double label_smoothing : {0.0, 0.2}) {
        const DpoOptions options{
            .loss = loss, .beta = beta, .label_smoothing = is_smooth ? label_smoothing : 0.0};
        expect_gradient_matches(random_preferences(5, 1, ++seed), options,
                                fmt::format("loss {}, beta {}", static_cast<int>(loss), beta));
      }
    }
  }
}

TEST(Dpo, GradientMatchesFiniteDifferenceForSeveralRejectedAnswers) {
  uint64_t seed = 400;
  for (const int64_t num_rejected : {2, 3, 6}) {
    for (const double beta : {0.1, 1.0}) {
      expect_gradient_matches(random_preferences(3, num_rejected, ++seed), DpoOptions{.beta = beta},
                              fmt::format("{} rejected", num_rejected));
    }
  }
}

TEST(Simpo, GradientMatchesFiniteDifference) {
  uint64_t seed = 500;
  for (const auto loss : {SimpoLoss::kSigmoid, SimpoLoss::kHinge}) {
    for (const double beta : {0.5, 2.0}) {
      for (const double weight : {0.0, 0.3}) {
        const SimpoOptions options{.loss = loss,
                                   .beta = beta,
                                   .label_smoothing = loss == SimpoLoss::kSigmoid ? weight : 0.0,
                                   .sft_weight = weight};
        expect_gradient_matches(random_preferences(5, 1, ++seed), options,
                                fmt::format("beta {}, weight {}", beta, weight));
      }
    }
  }
}

// ---- Errors -------------------------------------------------------------------------------------

TEST(Preference, RefusesOptionsThatDoNotFit) {
  const PreferenceCase one = one_pair();
  EXPECT_EQ(error_of(one, DpoOptions{.beta = 0.0}), "[dpo] beta: got 0, expected more than 0.");
  EXPECT_EQ(error_of(one, SimpoOptions{.beta = -1.0}),
            "[simpo] beta: got -1, expected more than 0.");
  EXPECT_EQ(error_of(one, DpoOptions{.loss = DpoLoss::kRobust, .label_smoothing = 0.5}),
            "[dpo] label_smoothing: got 0.5, expected 0 to less than 0.5.");
  EXPECT_EQ(error_of(one, DpoOptions{.loss = DpoLoss::kIpo, .label_smoothing = 0.1}),
            "[dpo] label_smoothing with loss ipo: got 0.1, expected 0.");
  EXPECT_EQ(error_of(one, SimpoOptions{.loss = SimpoLoss::kHinge, .label_smoothing = 0.1}),
            "[simpo] label_smoothing with loss hinge: got 0.1, expected 0.");
}

TEST(Preference, RefusesEmptyAnswersAndRangesThatDoNotFit) {
  PreferenceCase empty;
  empty.add({}, 0.0, {1.0}, 0.0);
  EXPECT_EQ(error_of(empty, DpoOptions{}),
            "[dpo] chosen answer of preference 0 has no predicted token: got count 0, expected 1 "
            "or more.");
  PreferenceCase no_rejected;
  no_rejected.add({1.0}, 0.0, {}, 0.0);
  EXPECT_EQ(error_of(no_rejected, SimpoOptions{}),
            "[simpo] rejected answer of preference 0 has no predicted token: got count 0, expected "
            "1 or more.");
  PreferenceCase outside = one_pair();
  outside.token_nll.pop_back();
  EXPECT_EQ(error_of(outside, DpoOptions{}),
            "[dpo] rejected answer of preference 0 leaves the predictions: got first 2 and count "
            "1, expected them within 2 predictions.");
}

TEST(Preference, RefusesAnotherNumberOfRejectedAnswers) {
  PreferenceCase one = one_pair();
  one.preferences[0].rejected.push_back(one.preferences[0].rejected[0]);
  const std::string expected =
      "preference 0: got 2 rejected answers, expected 1: only dpo with loss sigmoid and no "
      "label_smoothing takes several. Make them preferences of their own.";
  EXPECT_EQ(error_of(one, SimpoOptions{}), "[simpo] " + expected);
  EXPECT_EQ(error_of(one, DpoOptions{.loss = DpoLoss::kHinge}), "[dpo] " + expected);
  EXPECT_EQ(error_of(one, DpoOptions{.label_smoothing = 0.1}), "[dpo] " + expected);
  one.preferences[0].rejected.clear();
  EXPECT_EQ(error_of(one, DpoOptions{}),
            "[dpo] preference 0: got no rejected answer, expected 1 or more.");
}

TEST(Preference, RefusesCountsBelowThoseOfTheMicroBatch) {
  const PreferenceCase one = one_pair();
  EXPECT_EQ(error_of(one, DpoOptions{}, StepCounts{}),
            "[dpo] the step's count is too small: got 0 pairs, expected at least the 1 of this "
            "micro batch.");
  EXPECT_EQ(
      error_of(one, SimpoOptions{.sft_weight = 1.0}, StepCounts{.positive_tokens = 1, .pairs = 1}),
      "[simpo] the step's count is too small: got 1 chosen tokens, expected at least the 2 "
      "of this micro batch.");
}

}  // namespace preference_test
}  // namespace cpx::objectives
