// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/ppo.h"

#include <array>
#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "tests/objectives/gradient_check.h"

namespace cpx::objectives {
namespace ppo_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using Doubles = std::vector<double>;

// Responses that own their numbers, laid end to end.
struct Case {
  struct Response {
    Doubles old_nll = {};
    Doubles old_values = {};
    Doubles advantages = {};
    Doubles returns = {};
  };
  std::vector<Response> responses = {};
  Doubles token_nll = {};
  Doubles values = {};
  Doubles token_entropy = {};
};

PpoResult run(const Case& one, const PpoOptions& options = {}, int64_t step_tokens = 0) {
  std::vector<PpoResponse> responses;
  int64_t first = 0;
  for (const Case::Response& response : one.responses) {
    const auto count = std::ssize(response.old_nll);
    responses.push_back({.tokens = {.first = first, .count = count},
                         .old_nll = response.old_nll,
                         .old_values = response.old_values,
                         .advantages = response.advantages,
                         .returns = response.returns});
    first += count;
  }
  return ppo({.responses = responses,
              .token_nll = one.token_nll,
              .values = one.values,
              .token_entropy = one.token_entropy},
             options, step_tokens > 0 ? step_tokens : first);
}

std::string error_of(const Case& one, const PpoOptions& options = {}, int64_t step_tokens = 0) {
  return invalid_argument_of([&] { run(one, options, step_tokens); });
}

// One response of a single token.
Case one_token(double log_ratio, double advantage) {
  return {.responses = {{.old_nll = {2.0},
                         .old_values = {0.0},
                         .advantages = {advantage},
                         .returns = {0.0}}},
          .token_nll = {2.0 - log_ratio},
          .values = {0.0}};
}

Case one_value(double value, double old_value, double returns) {
  return {.responses = {{.old_nll = {2.0},
                         .old_values = {old_value},
                         .advantages = {0.0},
                         .returns = {returns}}},
          .token_nll = {2.0},
          .values = {value}};
}

Case random_case(uint64_t seed) {
  CounterRng rng(seed, {});
  Case one;
  for (int64_t i = 0; i < 4; ++i) {
    Case::Response response;
    const uint64_t count = 1 + rng.below(6);
    for (uint64_t k = 0; k < count; ++k) {
      response.old_nll.push_back(0.1 + 3.0 * rng.uniform());
      response.old_values.push_back(rng.normal());
      response.advantages.push_back(rng.normal());
      response.returns.push_back(rng.normal());
      one.token_nll.push_back(response.old_nll.back() + 0.3 * rng.normal());
      one.values.push_back(response.old_values.back() + 0.4 * rng.normal());
      one.token_entropy.push_back(rng.uniform());
    }
    one.responses.push_back(response);
  }
  return one;
}

// ---- By hand ------------------------------------------------------------------------------------

// Ratios 1 and 2, advantages 3 and -1: -3 and max(2, 1.2) = 2, mean -1/2. Values 1 and 2, returns 2
// and 5, old values 1 and 2: 1/2 (1 + 9) / 2 = 2.5, a tenth of it. d / d nll = ratio * advantage /
// 2, d / d value = 0.1 (value - return) / 2.
TEST(Ppo, IsTheValueComputedByHand) {
  const Case one{.responses = {{.old_nll = {1.0, 2.0},
                                .old_values = {1.0, 2.0},
                                .advantages = {3.0, -1.0},
                                .returns = {2.0, 5.0}}},
                 .token_nll = {1.0, 2.0 - ln2},
                 .values = {1.0, 2.0},
                 .token_entropy = {0.5, 1.0}};
  const PpoResult result = run(one);
  EXPECT_NEAR(result.loss, -0.25, 1e-15);
  EXPECT_THAT(result.gradient, ElementsAre(1.5, DoubleNear(-1.0, 1e-15)));
  EXPECT_THAT(result.value_gradient,
              ElementsAre(DoubleNear(-0.05, 1e-16), DoubleNear(-0.15, 1e-16)));
  EXPECT_FALSE(result.is_skipped);
  const PpoSums& sums = result.sums;
  EXPECT_EQ(sums.tokens, 2);
  EXPECT_NEAR(sums.policy_loss, -1.0, 1e-15);
  EXPECT_EQ(sums.value_loss, 5.0);
  EXPECT_NEAR(sums.ratio, 3.0, 1e-15);
  EXPECT_EQ(sums.num_clipped, 0);
  EXPECT_NEAR(sums.change, -ln2, 1e-15);
  EXPECT_NEAR(sums.squared_change, ln2 * ln2, 1e-15);
  EXPECT_EQ(sums.entropy, 1.5);
  EXPECT_EQ(sums.squared_error, 10.0);
  EXPECT_EQ(sums.value, 3.0);
  EXPECT_EQ(sums.advantage, 2.0);
  EXPECT_EQ(sums.returns, 7.0);
  EXPECT_EQ(sums.squared_returns, 29.0);
}

// A good token that has become likely enough, and a bad one that has become unlikely enough, are
// left alone: -1.2 and 0.8. On the other side of the range they are pushed back.
TEST(Ppo, PolicyIsClippedWhereItHasGoneFarEnough) {
  for (const auto& [log_ratio, advantage, loss] :
       std::vector<std::array<double, 3>>{{ln2, 1.0, -1.2}, {-ln2, -1.0, 0.8}}) {
    const PpoResult result = run(one_token(log_ratio, advantage));
    EXPECT_NEAR(result.loss, loss, 1e-15);
    EXPECT_THAT(result.gradient, ElementsAre(0.0));
    EXPECT_EQ(result.sums.num_clipped, 1);
  }
  for (const auto& [log_ratio, advantage, loss] :
       std::vector<std::array<double, 3>>{{-ln2, 1.0, -0.5}, {ln2, -1.0, 2.0}}) {
    const PpoResult result = run(one_token(log_ratio, advantage));
    EXPECT_NEAR(result.loss, loss, 1e-15);
    EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(-loss, 1e-15)));
    EXPECT_EQ(result.sums.num_clipped, 0);
  }
}

// Old value 0, clipped at 0.2. Return 1: a value of 0.9 counts as 0.2, so 0.64 / 2 and no slope.
// Return -1: 0.9 is farther off than 0.2, so 3.61 / 2.
TEST(Ppo, ValueIsClippedWhereItHasGoneFarEnough) {
  const PpoResult clipped = run(one_value(0.9, 0.0, 1.0), {.vf_coef = 1.0});
  EXPECT_NEAR(clipped.loss, 0.32, 1e-15);
  EXPECT_THAT(clipped.value_gradient, ElementsAre(0.0));
  EXPECT_EQ(clipped.sums.num_clipped_values, 1);
  const PpoResult open = run(one_value(0.9, 0.0, -1.0), {.vf_coef = 1.0});
  EXPECT_NEAR(open.loss, 1.805, 1e-15);
  EXPECT_THAT(open.value_gradient, ElementsAre(DoubleNear(1.9, 1e-15)));
  EXPECT_EQ(open.sums.num_clipped_values, 0);
}

// ---- Limits -------------------------------------------------------------------------------------

TEST(Ppo, PolicyThatHasNotMovedHasRatioOne) {
  const PpoResult result = run(one_token(0.0, 2.0));
  EXPECT_EQ(result.loss, -2.0);
  EXPECT_THAT(result.gradient, ElementsAre(2.0));
}

// Mean ratio 2 against a threshold just below and just at it.
TEST(Ppo, MicroBatchAboveTheRatioThresholdIsSkipped) {
  Case one = one_token(ln2, -1.0);
  one.responses[0].returns = {3.0};
  const PpoResult skipped = run(one, {.ratio_threshold = 1.99});
  EXPECT_TRUE(skipped.is_skipped);
  EXPECT_EQ(skipped.loss, 0.0);
  EXPECT_THAT(skipped.gradient, Each(0.0));
  EXPECT_THAT(skipped.value_gradient, Each(0.0));
  EXPECT_EQ(skipped.sums.skipped_tokens, 1);
  EXPECT_EQ(skipped.sums.policy_loss, 0.0);
  const PpoResult kept = run(one, {.ratio_threshold = 2.01});
  EXPECT_FALSE(kept.is_skipped);
  EXPECT_EQ(kept.sums.skipped_tokens, 0);
  EXPECT_NEAR(kept.loss, 2.0 + 0.45, 1e-15);
}

TEST(Ppo, RatioThatOverflowsIsSkippedToo) {
  const PpoResult result = run(one_token(1000.0, 1.0));
  EXPECT_TRUE(result.is_skipped);
  EXPECT_EQ(result.loss, 0.0);
}

TEST(Ppo, MicroBatchesAddUp) {
  const Case one = random_case(/*seed=*/91);
  const PpoResult whole = run(one);
  double loss = 0.0;
  PpoSums sums;
  size_t first = 0;
  for (const Case::Response& response : one.responses) {
    const size_t count = response.old_nll.size();
    const auto cut = [&](const Doubles& values) {
      return Doubles(values.begin() + first, values.begin() + first + count);
    };
    const PpoResult part = run({.responses = {response},
                                .token_nll = cut(one.token_nll),
                                .values = cut(one.values),
                                .token_entropy = cut(one.token_entropy)},
                               {}, std::ssize(one.token_nll));
    EXPECT_EQ(part.gradient, cut(whole.gradient));
    EXPECT_EQ(part.value_gradient, cut(whole.value_gradient));
    loss += part.loss;
    sums += part.sums;
    first += count;
  }
  EXPECT_NEAR(loss, whole.loss, 1e-15);
  EXPECT_EQ(sums.tokens, whole.sums.tokens);
  EXPECT_EQ(sums.num_clipped, whole.sums.num_clipped);
  EXPECT_EQ(sums.num_clipped_values, whole.sums.num_clipped_values);
  EXPECT_NEAR(sums.entropy, whole.sums.entropy, 1e-14);
  EXPECT_NEAR(sums.ratio, whole.sums.ratio, 1e-13);
  EXPECT_NEAR(*explained_variance(sums), *explained_variance(whole.sums), 1e-13);
}

TEST(Ppo, NumberThatIsNotFiniteMakesTheLossNaN) {
  const double bad = std::numeric_limits<double>::infinity();
  std::vector<Case> cases(6, random_case(/*seed=*/92));
  cases[0].token_nll[1] = bad;
  cases[1].values[1] = bad;
  cases[2].responses[0].old_nll[0] = -bad;
  cases[3].responses[0].old_values[0] = bad;
  cases[4].responses[0].advantages[0] = std::nan("");
  cases[5].responses[0].returns[0] = bad;
  for (const Case& one : cases) EXPECT_TRUE(std::isnan(run(one).loss));
}

// ---- Gradients ----------------------------------------------------------------------------------

TEST(Ppo, GradientsMatchFiniteDifferences) {
  for (uint64_t seed = 700; seed < 704; ++seed) {
    const Case one = random_case(seed);
    const PpoOptions options{.cliprange = 0.15, .cliprange_value = 0.3, .vf_coef = 0.5};
    const PpoResult result = run(one, options);
    expect_gradient(
        result.gradient, one.token_nll,
        [&](const Doubles& token_nll) {
          Case moved = one;
          moved.token_nll = token_nll;
          return run(moved, options).loss;
        },
        "token_nll");
    expect_gradient(
        result.value_gradient, one.values,
        [&](const Doubles& values) {
          Case moved = one;
          moved.values = values;
          return run(moved, options).loss;
        },
        "values");
  }
}

// ---- Decisions and metrics ----------------------------------------------------------------------

TEST(TargetKl, IsLeftAboveHalfAgainAsMuch) {
  EXPECT_FALSE(is_above_target_kl(1.5, 1.0));
  EXPECT_TRUE(is_above_target_kl(1.51, 1.0));
  EXPECT_FALSE(is_above_target_kl(-3.0, 1.0));
}

// Returns 1, 3: variance 2. Values off by 1 each: mean squared error 1.
TEST(ExplainedVariance, IsOneWithoutErrorAndNoneWithoutVariance) {
  PpoSums sums{.tokens = 2, .squared_error = 2.0, .returns = 4.0, .squared_returns = 10.0};
  EXPECT_EQ(explained_variance(sums), 0.5);
  sums.squared_error = 0.0;
  EXPECT_EQ(explained_variance(sums), 1.0);
  EXPECT_EQ(explained_variance({.tokens = 1, .returns = 2.0, .squared_returns = 4.0}),
            std::nullopt);
  EXPECT_EQ(explained_variance({.tokens = 3, .returns = 0.3, .squared_returns = 3 * 0.1 * 0.1}),
            std::nullopt);
  EXPECT_EQ(explained_variance({}), std::nullopt);
}

// ---- Errors -------------------------------------------------------------------------------------

TEST(PpoErrors, AResponseWithoutTokensIsNamed) {
  Case empty = one_token(0.0, 1.0);
  empty.responses[0] = {};
  EXPECT_EQ(error_of(empty),
            "[ppo] response 0 has no predicted token: got count 0, expected 1 or more.");
}

TEST(PpoErrors, EveryPredictionNeedsAValue) {
  Case few_values = one_token(0.0, 1.0);
  few_values.values = {};
  EXPECT_EQ(error_of(few_values), "[ppo] values: got 0, expected 1.");
}

TEST(PpoErrors, EveryPredictionNeedsAnEntropyOrNone) {
  Case many_entropies = one_token(0.0, 1.0);
  many_entropies.token_entropy = {1.0, 2.0};
  EXPECT_EQ(error_of(many_entropies), "[ppo] token entropies: got 2, expected 1 or none.");
}

TEST(PpoErrors, AResponseNeedsAsManyReturnsAsTokens) {
  Case few_returns = one_token(0.0, 1.0);
  few_returns.responses[0].returns = {};
  EXPECT_EQ(error_of(few_returns),
            "[ppo] response 0: got 1 old NLLs, 1 old values, 1 advantages, 0 returns, expected 1 "
            "each.");
}

TEST(PpoErrors, AResponseLiesWithinThePredictions) {
  Case outside = one_token(0.0, 1.0);
  outside.token_nll = {};
  outside.values = {};
  EXPECT_EQ(
      error_of(outside),
      "[ppo] response 0 leaves the predictions: got first 0 and count 1, expected them within "
      "0 predictions.");
}

TEST(PpoErrors, ClipRangesAreAboveZero) {
  EXPECT_EQ(error_of(one_token(0.0, 1.0), {.cliprange = 0.0}),
            "[ppo] cliprange and cliprange_value: got 0 and 0.2, expected more than 0.");
}

TEST(PpoErrors, TheStepsCountCoversTheMicroBatch) {
  Case two = one_token(0.0, 1.0);
  two.responses.push_back(two.responses[0]);
  two.token_nll = {1.0, 1.0};
  two.values = {0.0, 0.0};
  EXPECT_EQ(error_of(two, {}, /*step_tokens=*/1),
            "[ppo] the step's count is too small: got 1 tokens, expected at least the 2 of this "
            "micro batch.");
}

}  // namespace ppo_test
}  // namespace cpx::objectives
