// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/prototype.h"

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
namespace prototype_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using Longest = PrototypeOptions::Longest;

struct Case {
  std::vector<GroupText> texts = {};
  std::vector<double> token_nll = {};
  int64_t num_groups = 1;

  void add(int64_t group, TextRole role, const std::vector<double>& nll) {
    texts.push_back({.group = group,
                     .role = role,
                     .tokens = {.first = std::ssize(token_nll), .count = std::ssize(nll)}});
    token_nll.insert(token_nll.end(), nll.begin(), nll.end());
  }
};

ObjectiveResult run(const Case& one, Longest longest = Longest::kBatch) {
  return prototype({.texts = one.texts, .num_groups = one.num_groups, .token_nll = one.token_nll},
                   {.longest = longest}, {.groups = one.num_groups});
}

std::string error_of(const Case& one) {
  return invalid_argument_of([&] { run(one); });
}

// Lengths 2, 4, 2. Scaled means: input 2 * 1/2 = 1, positive 1, negative 4 * 1/2 = 2.
Case one_of_each() {
  Case one;
  one.add(0, TextRole::kInput, {2.0});
  one.add(0, TextRole::kPositive, {0.5, 1.0, 1.5});
  one.add(0, TextRole::kHardNegative, {4.0});
  return one;
}

Case random_case(uint64_t seed) {
  CounterRng rng(seed, {});
  Case one{.num_groups = 3};
  for (int64_t group = 0; group < one.num_groups; ++group) {
    for (const TextRole role :
         {TextRole::kHardNegative, TextRole::kPositive, TextRole::kInput, TextRole::kPositive}) {
      std::vector<double> nll(1 + rng.below(6));
      for (double& value : nll) value = 0.1 + 3.0 * rng.uniform();
      one.add(group, role, nll);
    }
  }
  return one;
}

// s = (1, 1/2), CE = log(e + e^0.5) - 1 = log(1 + e^-0.5). With q = e^-0.5 / (1 + e^-0.5) the
// negative's scaled mean gets q * -ln(2) / 2 and the input's the opposite; half of it a token.
TEST(Prototype, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(one_of_each());
  const double a = std::exp(-0.5);
  const double slope = a / (1.0 + a) * ln2 / 4.0;
  EXPECT_NEAR(result.loss, std::log(1.0 + a), 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(slope, 1e-15), 0.0, 0.0, 0.0, DoubleNear(-slope, 1e-15)));
  EXPECT_EQ(result.contrast, std::nullopt);
  EXPECT_EQ(result.positives.tokens, 3);
  EXPECT_EQ(result.positives.nll_sum, 3.0);
  EXPECT_EQ(result.hard_negatives.nll_sum, 4.0);
}

// Scores at most 1 and at least 0: with texts as far off as they like, CE = log(1 + e^s) - s.
TEST(Prototype, TextsFarFromTheInputScoreNothing) {
  Case one;
  one.add(0, TextRole::kInput, {0.0});
  one.add(0, TextRole::kPositive, {5000.0});
  one.add(0, TextRole::kHardNegative, {0.0});
  EXPECT_NEAR(run(one).loss, std::log(1.0 + std::numbers::e), 1e-15);
}

TEST(Prototype, OnePositiveAloneGivesNothing) {
  Case one;
  one.add(0, TextRole::kInput, {2.0});
  one.add(0, TextRole::kPositive, {1.0});
  const ObjectiveResult result = run(one);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_THAT(result.gradient, Each(0.0));
}

// The mean is over the step's groups; a longer text elsewhere shrinks the scale only under kBatch.
TEST(Prototype, LongestTextIsOfTheMicroBatchOrOfTheGroup) {
  Case two = one_of_each();
  two.num_groups = 2;
  two.add(1, TextRole::kInput, {1.0});
  two.add(1, TextRole::kPositive, {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0});
  const double alone = std::log(1.0 + std::exp(-0.5));
  EXPECT_NEAR(run(two, Longest::kGroup).loss, alone / 2.0, 1e-15);
  // Lengths 2, 4, 2 of 8: distances 0 and 1/2.
  const double scaled = std::log(1.0 + std::exp(std::sqrt(0.5) - 1.0));
  EXPECT_NEAR(run(two, Longest::kBatch).loss, scaled / 2.0, 1e-15);
}

TEST(Prototype, GradientMatchesFiniteDifference) {
  uint64_t seed = 600;
  for (const Longest longest : {Longest::kBatch, Longest::kGroup, Longest::kBatch}) {
    const Case one = random_case(++seed);
    const auto loss_at = [&](const std::vector<double>& token_nll) {
      Case moved = one;
      moved.token_nll = token_nll;
      return run(moved, longest).loss;
    };
    expect_gradient(run(one, longest).gradient, one.token_nll, loss_at, std::to_string(seed));
  }
}

TEST(Prototype, NllThatIsNotFiniteMakesTheLossNaN) {
  for (size_t i = 0; i < 5; ++i) {
    Case one = one_of_each();
    one.token_nll[i] = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(std::isnan(run(one).loss));
  }
}

TEST(PrototypeErrors, AGroupNeedsAnInput) {
  Case no_input = one_of_each();
  no_input.texts.erase(no_input.texts.begin());
  EXPECT_EQ(error_of(no_input), "[prototype] group 0: got 0 inputs, expected 1.");
}

TEST(PrototypeErrors, AGroupNeedsAPositive) {
  Case no_positive = one_of_each();
  no_positive.texts[1].role = TextRole::kHardNegative;
  EXPECT_EQ(error_of(no_positive), "[prototype] group 0: got no positive, expected 1 or more.");
}

TEST(PrototypeErrors, ARandomNegativeHasNoPlace) {
  Case random_negative = one_of_each();
  random_negative.texts[2].role = TextRole::kRandomNegative;
  EXPECT_EQ(error_of(random_negative),
            "[prototype] text 2: got role random_negative, expected input, positive or "
            "hard_negative.");
}

TEST(PrototypeErrors, ATextOfNoGroupIsNamed) {
  Case other_group = one_of_each();
  other_group.texts[2].group = 1;
  EXPECT_EQ(error_of(other_group), "[prototype] text 2: got group 1, expected 0 to 0.");
}

TEST(PrototypeErrors, ATextWithoutTokensIsNamed) {
  Case empty = one_of_each();
  empty.texts[0].tokens.count = 0;
  EXPECT_EQ(error_of(empty),
            "[prototype] text 0 has no predicted token: got count 0, expected 1 or more.");
}

TEST(PrototypeErrors, NoGroupsAreRefused) {
  EXPECT_EQ(error_of(Case{.num_groups = 0}), "[prototype] got 0 groups, expected 1 or more.");
}

TEST(PrototypeErrors, TheStepsCountCoversTheMicroBatch) {
  const Case one = one_of_each();
  EXPECT_EQ(invalid_argument_of([&] {
              prototype({.texts = one.texts, .num_groups = 1, .token_nll = one.token_nll}, {}, {});
            }),
            "[prototype] the step's count is too small: got 0 groups, expected at least the 1 of "
            "this micro batch.");
}

}  // namespace prototype_test
}  // namespace cpx::objectives
