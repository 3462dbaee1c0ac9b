// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/transfer.h"

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
namespace transfer_test {

using std::numbers::e;
using std::numbers::ln2;
using testing::DoubleNear;
using testing::ElementsAre;
using Part = TransferPart;

struct Case {
  std::vector<TransferText> texts = {};
  std::vector<double> token_nll = {};
  StepCounts step = {.groups = 1};

  void add(int64_t group, Part part, const std::vector<double>& nll) {
    texts.push_back({.group = group,
                     .part = part,
                     .tokens = {.first = std::ssize(token_nll), .count = std::ssize(nll)}});
    token_nll.insert(token_nll.end(), nll.begin(), nll.end());
    step.pairs += part == Part::kNegativeReference ? 1 : 0;
  }
};

ObjectiveResult run(const Case& one, double alpha = 100.0) {
  return transfer({.texts = one.texts, .num_groups = one.step.groups, .token_nll = one.token_nll},
                  {.alpha = alpha}, one.step);
}

std::string error_of(const Case& one) {
  return invalid_argument_of([&] { run(one); });
}

// m = 1, 2, 2.
Case one_of_each() {
  Case one;
  one.add(0, Part::kPositiveReference, {1.0});
  one.add(0, Part::kNegativeReference, {1.5, 2.5});
  one.add(0, Part::kReferenceNegative, {2.0});
  return one;
}

// c = 1, s = (1, 1/2, 1/2), y = (1, 1, 0): CE = 2 log(e + 2 e^0.5) - 3/2, over 2 + 1. With p the
// softmax of the last two: slopes by s are (2p - 1) and 2p, by m times -ln(2) / 2; what c gives the
// first is the opposite of their sum, and its own distance is 0.
TEST(Transfer, IsTheValueComputedByHand) {
  const ObjectiveResult result = run(one_of_each(), /*alpha=*/6.0);
  const double sum = e + 2.0 * std::exp(0.5);
  const double p = std::exp(0.5) / sum;
  EXPECT_NEAR(result.loss, 2.0 + 2.0 * (2.0 * std::log(sum) - 1.5), 1e-14);
  const double learned = 1.0 - ln2 * (2.0 * p - 1.0);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(ln2 * (4.0 * p - 1.0), 1e-14), DoubleNear(learned / 2, 1e-14),
                          DoubleNear(learned / 2, 1e-14), DoubleNear(-ln2 * 2.0 * p, 1e-14)));
  EXPECT_EQ(result.positives.texts, 2);
  EXPECT_EQ(result.positives.nll_sum, 5.0);
  EXPECT_EQ(result.hard_negatives.nll_sum, 2.0);
}

TEST(Transfer, WithoutContrastIsTheMeanOfTheTransferTexts) {
  Case one = one_of_each();
  one.add(0, Part::kNegativeReference, {4.0});
  const ObjectiveResult result = run(one, /*alpha=*/0.0);
  EXPECT_EQ(result.loss, 3.0);
  EXPECT_THAT(result.gradient, ElementsAre(0.0, 0.25, 0.25, 0.0, 0.5));
}

// One target alone has CE 0, and there is nothing to transfer.
TEST(Transfer, OnePositiveAloneGivesNothing) {
  Case one;
  one.add(0, Part::kPositiveReference, {1.0});
  EXPECT_EQ(run(one).loss, 0.0);
}

TEST(Transfer, GroupsDoNotShareACentre) {
  const double alone = run(one_of_each()).loss;
  Case two = one_of_each();
  two.step.groups = 2;
  two.add(1, Part::kPositiveReference, {9.0});
  // The second group's CE is 0; the mean over groups halves the contrast, not the transfer.
  EXPECT_NEAR(run(two).loss, 2.0 + (alone - 2.0) / 2.0, 1e-13);
}

TEST(Transfer, GradientMatchesFiniteDifference) {
  CounterRng rng(71, {});
  Case one;
  one.step.groups = 3;
  for (int64_t group = 0; group < 3; ++group) {
    for (const Part part : {Part::kPositiveReference, Part::kReferenceNegative,
                            Part::kNegativeReference, Part::kPositiveReference}) {
      std::vector<double> nll(1 + rng.below(5));
      for (double& value : nll) value = 0.1 + 3.0 * rng.uniform();
      one.add(group, part, nll);
    }
  }
  const auto loss_at = [&](const std::vector<double>& token_nll) {
    Case moved = one;
    moved.token_nll = token_nll;
    return run(moved).loss;
  };
  expect_gradient(run(one).gradient, one.token_nll, loss_at, "transfer");
}

TEST(Transfer, NllThatIsNotFiniteMakesTheLossNaN) {
  for (size_t i = 0; i < 4; ++i) {
    Case one = one_of_each();
    one.token_nll[i] = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(std::isnan(run(one).loss));
  }
}

TEST(TransferErrors, AGroupNeedsAPositiveWithTheReference) {
  Case no_positive = one_of_each();
  no_positive.texts[0].part = Part::kReferenceNegative;
  EXPECT_EQ(error_of(no_positive),
            "[transfer] group 0: got no positive with the reference, expected 1 or more.");
}

TEST(TransferErrors, ATextOfNoGroupIsNamed) {
  Case other_group = one_of_each();
  other_group.texts[2].group = -1;
  EXPECT_EQ(error_of(other_group), "[transfer] text 2: got group -1, expected 0 to 0.");
}

TEST(TransferErrors, ATextWithoutTokensIsNamed) {
  Case empty = one_of_each();
  empty.texts[1].tokens.count = 0;
  EXPECT_EQ(error_of(empty),
            "[transfer] text 1 has no predicted token: got count 0, expected 1 or more.");
}

TEST(TransferErrors, NoGroupsAreRefused) {
  EXPECT_EQ(error_of(Case{.step = {}}), "[transfer] got 0 groups, expected 1 or more.");
}

TEST(TransferErrors, TheStepsCountsCoverTheMicroBatch) {
  Case too_few = one_of_each();
  too_few.step.pairs = 0;
  EXPECT_EQ(error_of(too_few),
            "[transfer] the step's counts are too small: got 1 groups, 0 pairs, expected at least "
            "the 1 and 1 of this micro batch.");
}

}  // namespace transfer_test
}  // namespace cpx::objectives
