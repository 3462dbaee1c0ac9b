// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/cycle.h"

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
namespace cycle_test {

using std::numbers::ln2;
using testing::DoubleNear;
using testing::ElementsAre;
using Centroid = CycleOptions::Centroid;
using Side = std::optional<TextRole>;
using Term = std::optional<CycleTerm>;

constexpr TextRole kPositive = TextRole::kPositive;
constexpr TextRole kHard = TextRole::kHardNegative;

struct Case {
  std::vector<CycleText> texts = {};
  std::vector<double> token_nll = {};
  StepCounts step = {.groups = 1};

  void add(int64_t group, Side side, Term term, const std::vector<double>& nll) {
    texts.push_back({.group = group,
                     .tokens = {.first = std::ssize(token_nll), .count = std::ssize(nll)},
                     .contrast = side,
                     .term = term});
    token_nll.insert(token_nll.end(), nll.begin(), nll.end());
    step.pairs += term == CycleTerm::kPairs ? 1 : 0;
    step.positive_texts += term == CycleTerm::kPositives ? 1 : 0;
    step.negative_texts += term == CycleTerm::kNegatives ? 1 : 0;
  }
};

ObjectiveResult run(const Case& one, const CycleOptions& options = {}) {
  return cycle({.texts = one.texts, .num_groups = one.step.groups, .token_nll = one.token_nll},
               options, one.step);
}

std::string error_of(const Case& one, const CycleOptions& options = {}) {
  return invalid_argument_of([&] { run(one, options); });
}

// m = 1, 2 and 4: plain texts that are trained on too, and an instruction pair.
Case one_of_each() {
  Case one;
  one.add(0, kPositive, CycleTerm::kPositives, {1.0});
  one.add(0, kHard, CycleTerm::kNegatives, {2.0});
  one.add(0, std::nullopt, CycleTerm::kPairs, {3.0, 5.0});
  return one;
}

// sft 1 + 2 + 4. c = 1, s = (1, 1/2), CE = log(1 + e^-0.5), over 1 + 1. With q = e^-0.5 / (1 +
// e^-0.5) the negative gets q * -ln(2) / 2 of CE, the positive through c the opposite.
TEST(Cycle, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(one_of_each(), {.alpha = 4.0});
  const double a = std::exp(-0.5);
  const double slope = 2.0 * a / (1.0 + a) * ln2 / 2.0;
  EXPECT_NEAR(result.loss, 7.0 + 2.0 * std::log(1.0 + a), 1e-14);
  EXPECT_THAT(result.gradient, ElementsAre(DoubleNear(1.0 + slope, 1e-14),
                                           DoubleNear(1.0 - slope, 1e-14), 0.5, 0.5));
  EXPECT_EQ(result.positives.nll_sum, 1.0);
  EXPECT_EQ(result.hard_negatives.nll_sum, 2.0);
}

TEST(Cycle, TextsOutsideATermAreOnlyContrasted) {
  Case one;
  one.add(0, kPositive, std::nullopt, {1.0});
  one.add(0, kHard, std::nullopt, {2.0});
  one.add(0, std::nullopt, CycleTerm::kPositives, {3.0});
  EXPECT_NEAR(run(one, {.alpha = 2.0}).loss, 3.0 + std::log(1.0 + std::exp(-0.5)), 1e-15);
}

// Each mean is over its own texts, each text weighing the same.
TEST(Cycle, WithoutContrastIsThreeMeans) {
  Case one = one_of_each();
  one.add(0, std::nullopt, CycleTerm::kPairs, {8.0});
  const ObjectiveResult result = run(one, {.alpha = 0.0});
  EXPECT_EQ(result.loss, 1.0 + 2.0 + 6.0);
  EXPECT_THAT(result.gradient, ElementsAre(1.0, 1.0, 0.25, 0.25, 0.5));
}

TEST(Cycle, OnePositiveAloneHasNoContrast) {
  Case one;
  one.add(0, kPositive, CycleTerm::kPositives, {1.5});
  EXPECT_EQ(run(one).loss, 1.5);
}

// The second group's positive lies on 5: the first group's texts are 2 and 1 away from c = 3.
TEST(Cycle, CentroidIsOfTheMicroBatchOrOfTheGroup) {
  Case two;
  two.step.groups = 2;
  two.add(0, kPositive, std::nullopt, {1.0});
  two.add(0, kHard, std::nullopt, {2.0});
  two.add(1, kPositive, std::nullopt, {5.0});
  const double group = std::log(1.0 + std::exp(0.5 - 1.0)) / 2.0 / 2.0;
  EXPECT_NEAR(run(two, {.alpha = 1.0, .centroid = Centroid::kGroup}).loss, group, 1e-15);
  const double batch = std::log(1.0 + std::exp(0.5 - 0.25)) / 2.0 / 2.0;
  EXPECT_NEAR(run(two, {.alpha = 1.0}).loss, batch, 1e-15);
}

// Both on c: s = (1, 1), y = 0.8 (1, 0) + 0.1: CE = log(2) + 1 - 0.9 - 0.1.
TEST(Cycle, LabelSmoothingSpreadsTheTargets) {
  Case one;
  one.add(0, kPositive, std::nullopt, {1.0});
  one.add(0, kHard, std::nullopt, {1.0});
  EXPECT_NEAR(run(one, {.alpha = 2.0, .label_smoothing = 0.2}).loss, ln2, 1e-15);
}

TEST(Cycle, GradientMatchesFiniteDifference) {
  CounterRng rng(81, {});
  Case one;
  one.step.groups = 2;
  const auto add = [&](int64_t group, Side side, Term term) {
    std::vector<double> nll(1 + rng.below(5));
    for (double& value : nll) value = 0.1 + 3.0 * rng.uniform();
    one.add(group, side, term, nll);
  };
  for (int64_t group = 0; group < 2; ++group) {
    add(group, kPositive, CycleTerm::kPositives);
    add(group, kHard, CycleTerm::kNegatives);
    add(group, kPositive, std::nullopt);
    add(group, kHard, std::nullopt);
    add(group, std::nullopt, CycleTerm::kPairs);
  }
  for (const Centroid centroid : {Centroid::kBatch, Centroid::kGroup}) {
    const CycleOptions options{.label_smoothing = 0.1, .centroid = centroid};
    const auto loss_at = [&](const std::vector<double>& token_nll) {
      Case moved = one;
      moved.token_nll = token_nll;
      return run(moved, options).loss;
    };
    expect_gradient(run(one, options).gradient, one.token_nll, loss_at, "cycle");
  }
}

TEST(Cycle, NllThatIsNotFiniteMakesTheLossNaN) {
  for (size_t i = 0; i < 4; ++i) {
    Case one = one_of_each();
    one.token_nll[i] = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(std::isnan(run(one).loss));
  }
}

TEST(CycleErrors, AGroupNeedsAPositiveInTheContrast) {
  Case no_positive = one_of_each();
  no_positive.texts[0].contrast = std::nullopt;
  EXPECT_EQ(error_of(no_positive),
            "[cycle] group 0: got no positive in the contrast, expected 1 or more.");
}

TEST(CycleErrors, AnInputHasNoPlaceInTheContrast) {
  Case input = one_of_each();
  input.texts[1].contrast = TextRole::kInput;
  EXPECT_EQ(error_of(input),
            "[cycle] text 1: got role input in the contrast, expected positive or hard_negative.");
}

TEST(CycleErrors, ATextOfNoGroupIsNamed) {
  Case other_group = one_of_each();
  other_group.texts[2].group = 1;
  EXPECT_EQ(error_of(other_group), "[cycle] text 2: got group 1, expected 0 to 0.");
}

TEST(CycleErrors, ATextWithoutTokensIsNamed) {
  Case empty = one_of_each();
  empty.texts[2].tokens.count = 0;
  EXPECT_EQ(error_of(empty),
            "[cycle] text 2 has no predicted token: got count 0, expected 1 or more.");
}

TEST(CycleErrors, NoGroupsAreRefused) {
  EXPECT_EQ(error_of(Case{.step = {}}), "[cycle] got 0 groups, expected 1 or more.");
}

TEST(CycleErrors, LabelSmoothingIsAShare) {
  EXPECT_EQ(error_of(one_of_each(), {.label_smoothing = 1.5}),
            "[cycle] label_smoothing: got 1.5, expected 0 to 1.");
}

TEST(CycleErrors, TheStepsCountsCoverTheMicroBatch) {
  Case too_few = one_of_each();
  too_few.step = {.groups = 1, .positive_texts = 1};
  EXPECT_EQ(error_of(too_few),
            "[cycle] the step's counts are too small: got 1 groups, 0 pairs, 1 positive and 0 "
            "negative texts, expected at least the 1, 1, 1 and 1 of this micro batch.");
}

}  // namespace cycle_test
}  // namespace cpx::objectives
