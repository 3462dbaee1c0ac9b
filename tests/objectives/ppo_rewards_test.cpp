// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/ppo_rewards.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/objectives/gradient_check.h"

namespace cpx::objectives {
namespace ppo_rewards_test {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using Ranges = std::vector<TokenRange>;
using Doubles = std::vector<double>;

TokenRewards rewards_of(KlPenalty penalty, const Doubles& nll, const Doubles& reference,
                        const Doubles& full_kl = {}) {
  const Ranges responses = {{0, std::ssize(nll)}};
  return token_rewards({.responses = responses,
                        .token_nll = nll,
                        .reference_token_nll = reference,
                        .full_kl = full_kl},
                       Doubles{1.0}, penalty, /*kl_coef=*/0.5);
}

// ---- Scores -------------------------------------------------------------------------------------

// 1, 3: mean 2, variance 1, with Bessel's correction 2. Then 5, 7: of 1, 3, 5, 7 mean 4, 5, 20/3.
TEST(RunningMoments, AreThoseOfAllScoresSoFar) {
  const RunningMoments first = updated_moments({}, Doubles{1.0, 3.0});
  EXPECT_NEAR(first.mean, 2.0, 1e-15);
  EXPECT_NEAR(first.var, 1.0, 1e-15);
  EXPECT_NEAR(first.std, std::numbers::sqrt2, 1e-15);
  const RunningMoments second = updated_moments(first, Doubles{5.0, 7.0});
  EXPECT_NEAR(second.mean, 4.0, 1e-15);
  EXPECT_NEAR(second.var, 5.0, 1e-15);
  EXPECT_NEAR(second.std, std::sqrt(20.0 / 3.0), 1e-15);
  EXPECT_EQ(second.count, 4.0);
}

TEST(RunningMoments, OneScoreHasNoDeviation) {
  const RunningMoments first = updated_moments({}, Doubles{3.0});
  EXPECT_EQ(first.mean, 3.0);
  EXPECT_EQ(first.std, 1.0);
  EXPECT_NEAR(updated_moments(first, Doubles{5.0}).std, std::numbers::sqrt2, 1e-15);
  EXPECT_EQ(updated_moments(first, Doubles{}), first);
}

TEST(Scores, PassThroughWithoutOptions) {
  const std::vector<ResponseScore> scores = {{.score = 5.0}, {.score = -2.0, .has_eos = false}};
  const ProcessedScores result = process_scores(scores, {}, {});
  EXPECT_THAT(result.scores, ElementsAre(5.0, -2.0));
  EXPECT_EQ(result.moments, RunningMoments{});
}

// Penalty first: 1, 3 - 2 = 1, 4; mean 2, deviation sqrt(3): -1/sqrt(3) twice, 2/sqrt(3) cut to 1.
TEST(Scores, ArePenalisedThenNormedThenClipped) {
  const std::vector<ResponseScore> scores = {
      {.score = 1.0}, {.score = 3.0, .has_eos = false}, {.score = 4.0}};
  const ScoreOptions options{.missing_eos_penalty = 2.0,
                             .use_score_scaling = true,
                             .use_score_norm = true,
                             .score_clip = 1.0};
  const ProcessedScores result = process_scores(scores, options, {});
  const double low = -1.0 / std::sqrt(3.0);
  EXPECT_THAT(result.scores, ElementsAre(DoubleNear(low, 1e-6), DoubleNear(low, 1e-6), 1.0));
  EXPECT_NEAR(result.moments.mean, 2.0, 1e-15);
}

TEST(Scores, ScalingAloneKeepsTheMean) {
  const std::vector<ResponseScore> scores = {{.score = 1.0}, {.score = 3.0}};
  const ProcessedScores result = process_scores(scores, {.use_score_scaling = true}, {});
  EXPECT_NEAR(result.scores[0], 1.0 / std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(result.scores[1], 3.0 / std::numbers::sqrt2, 1e-6);
}

TEST(Scores, RefusesWhatIsNoNumber) {
  const auto error_of = [](double score, const ScoreOptions& options) {
    return invalid_argument_of([&] {
      process_scores(std::vector<ResponseScore>{{.score = 1.0}, {.score = score}}, options, {});
    });
  };
  EXPECT_EQ(error_of(std::nan(""), {}),
            "[process_scores] score of response 1: got nan, expected a finite number.");
  EXPECT_EQ(error_of(1.0, {.score_clip = 0.0}),
            "[process_scores] score_clip: got 0, expected more than 0.");
}

// ---- KL -----------------------------------------------------------------------------------------

// Reference NLL minus own: ln 2 and -ln 2.
TEST(TokenRewards, PenaltiesAreTheValuesComputedByHand) {
  using std::numbers::ln2;
  const Doubles nll = {1.0, 1.0 + ln2};
  const Doubles reference = {1.0 + ln2, 1.0};
  const auto kl = [&](KlPenalty penalty) {
    return rewards_of(penalty, nll, reference, {0.25, 0.75}).kl;
  };
  EXPECT_THAT(kl(KlPenalty::kKl), ElementsAre(DoubleNear(ln2, 1e-15), DoubleNear(-ln2, 1e-15)));
  EXPECT_THAT(kl(KlPenalty::kAbs), Each(DoubleNear(ln2, 1e-15)));
  EXPECT_THAT(kl(KlPenalty::kMse), Each(DoubleNear(ln2 * ln2 / 2.0, 1e-15)));
  EXPECT_THAT(kl(KlPenalty::kK3),
              ElementsAre(DoubleNear(ln2 - 0.5, 1e-15), DoubleNear(1.0 - ln2, 1e-15)));
  EXPECT_THAT(kl(KlPenalty::kFull), ElementsAre(0.25, 0.75));
}

TEST(TokenRewards, K3KeepsItsDigitsNearTheReference) {
  const TokenRewards rewards = rewards_of(KlPenalty::kK3, {1.0}, {1.0 + 1e-6});
  EXPECT_NEAR(rewards.kl[0], 0.5e-12, 1e-17);
}

// kl = 1 each; the score stands on the last token of each response; token 2 is of neither.
TEST(TokenRewards, ScoreStandsOnTheLastToken) {
  const Ranges responses = {{0, 2}, {3, 1}};
  const Doubles nll = {1.0, 1.0, 7.0, 2.0};
  const Doubles reference = {2.0, 2.0, 9.0, 3.0};
  const TokenRewards result =
      token_rewards({.responses = responses, .token_nll = nll, .reference_token_nll = reference},
                    Doubles{10.0, 20.0}, KlPenalty::kKl, /*kl_coef=*/0.5);
  EXPECT_THAT(result.rewards, ElementsAre(-0.5, 9.5, 0.0, 19.5));
  EXPECT_THAT(result.kl, ElementsAre(1.0, 1.0, 0.0, 1.0));
  EXPECT_EQ(result.mean_kl, 1.5);
  EXPECT_EQ(result.mean_non_score_reward, -0.5);
}

TEST(TokenRewards, RefusesSizesThatDoNotFit) {
  const Doubles two = {1.0, 2.0};
  EXPECT_EQ(invalid_argument_of([&] { rewards_of(KlPenalty::kKl, two, {1.0}); }),
            "[token_rewards] the reference's token NLLs: got 1, expected 2.");
  EXPECT_EQ(invalid_argument_of([&] { rewards_of(KlPenalty::kFull, two, two, {1.0}); }),
            "[token_rewards] full KL values: got 1, expected 2.");
  EXPECT_EQ(invalid_argument_of([&] { rewards_of(KlPenalty::kKl, {}, {}); }),
            "[token_rewards] response 0 has no predicted token: got count 0, expected 1 or more.");
  EXPECT_EQ(invalid_argument_of([&] {
              const Ranges responses = {{0, 2}};
              token_rewards({.responses = responses, .token_nll = two, .reference_token_nll = two},
                            {}, KlPenalty::kKl, 0.1);
            }),
            "[token_rewards] scores: got 0, expected 1.");
}

// error clipped to +-0.2, times 50 / 100: 1 + 0.1, 1 - 0.1; inside, 6.6 / 6 - 1 = 0.1: 1 + 0.05.
TEST(KlController, MovesTheCoefficientTowardsItsTarget) {
  const KlOptions options{.target = 6.0, .horizon = 100.0};
  EXPECT_NEAR(updated_kl_coef(0.2, options, /*mean_kl=*/60.0, 50), 0.22, 1e-16);
  EXPECT_NEAR(updated_kl_coef(0.2, options, /*mean_kl=*/-1.0, 50), 0.18, 1e-16);
  EXPECT_NEAR(updated_kl_coef(0.2, options, /*mean_kl=*/6.6, 50), 0.21, 1e-16);
  EXPECT_EQ(updated_kl_coef(0.2, options, /*mean_kl=*/6.0, 50), 0.2);
}

TEST(KlController, FixedStays) {
  EXPECT_EQ(updated_kl_coef(0.2, {.adap_kl_ctrl = false, .target = 0.0}, 60.0, 50), 0.2);
}

TEST(KlController, RefusesATargetOfNothing) {
  EXPECT_EQ(invalid_argument_of([] { updated_kl_coef(0.2, {.target = 0.0}, 1.0, 1); }),
            "[updated_kl_coef] target and horizon: got 0 and 10000, expected more than 0.");
}

// ---- Whitening and advantages -------------------------------------------------------------------

// 1, 3, 5 (9 is outside): mean 3, variance with Bessel's correction 4.
TEST(MaskedWhiten, IsOverAllResponsesTogether) {
  const Ranges responses = {{0, 2}, {3, 1}};
  const Doubles values = {1.0, 3.0, 9.0, 5.0};
  EXPECT_THAT(masked_whiten(values, responses, /*shift_mean=*/true),
              ElementsAre(DoubleNear(-1.0, 1e-8), 0.0, 0.0, DoubleNear(1.0, 1e-8)));
  EXPECT_THAT(masked_whiten(values, responses, /*shift_mean=*/false),
              ElementsAre(DoubleNear(2.0, 1e-8), 3.0, 0.0, DoubleNear(4.0, 1e-8)));
}

TEST(MaskedWhiten, OneTokenHasNothingToCompareWith) {
  EXPECT_THAT(masked_whiten(Doubles{5.0}, Ranges{{0, 1}}, /*shift_mean=*/true), ElementsAre(0.0));
  EXPECT_THAT(masked_whiten(Doubles{5.0}, Ranges{{0, 1}}, /*shift_mean=*/false), ElementsAre(5.0));
}

// gamma 1/2, lambda 1/2. Last token: delta = 4 - 2 = 2. First: delta = 1 + 2/2 - 3 = -1, advantage
// -1 + 2/4 = -1/2. The other response starts anew: 7 - 1 = 6. Returns = advantages + values.
TEST(Advantages, AreEstimatedFromTheLastTokenBack) {
  const Ranges responses = {{0, 2}, {2, 1}};
  const Doubles values = {3.0, 2.0, 1.0};
  const Doubles rewards = {1.0, 4.0, 7.0};
  const Advantages result =
      compute_advantages(responses, values, rewards, {.gamma = 0.5, .lam = 0.5});
  EXPECT_THAT(result.returns, ElementsAre(2.5, 4.0, 7.0));
  EXPECT_EQ(result.advantages, masked_whiten(Doubles{-0.5, 2.0, 6.0}, responses, true));
}

// lambda 1, gamma 1: the sum of what comes, whatever the values say.
TEST(Advantages, ReturnsOfLambdaOneAreSumsOfRewards) {
  const Doubles rewards = {1.0, 2.0, 4.0};
  const Advantages result =
      compute_advantages(Ranges{{0, 3}}, Doubles{5.0, -1.0, 2.0}, rewards, {.lam = 1.0});
  EXPECT_THAT(result.returns, ElementsAre(DoubleNear(7.0, 1e-15), DoubleNear(6.0, 1e-15), 4.0));
}

TEST(Advantages, WhitenedRewardsKeepTheirMean) {
  const Doubles rewards = {1.0, 3.0, 5.0};
  const Ranges responses = {{0, 1}, {1, 1}, {2, 1}};
  const Advantages result =
      compute_advantages(responses, Doubles{0.0, 0.0, 0.0}, rewards, {.whiten_rewards = true});
  EXPECT_EQ(result.returns, masked_whiten(rewards, responses, /*shift_mean=*/false));
}

TEST(Advantages, RefusesSizesThatDoNotFit) {
  EXPECT_EQ(invalid_argument_of([] {
              compute_advantages(Ranges{{0, 1}}, Doubles{1.0}, Doubles{1.0, 2.0}, {});
            }),
            "[compute_advantages] rewards: got 2, expected 1.");
  EXPECT_EQ(invalid_argument_of([] {
              compute_advantages(Ranges{{1, 1}}, Doubles{1.0}, Doubles{1.0}, {});
            }),
            "[compute_advantages] response 0 leaves the predictions: got first 1 and count 1, "
            "expected them within 1 predictions.");
}

}  // namespace ppo_rewards_test
}  // namespace cpx::objectives
