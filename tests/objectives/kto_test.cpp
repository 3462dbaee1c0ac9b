// SPDX-License-Identifier: Apache-2.0
// KTO by hand, by finite differences, at its limits, and equal to TRL on the same
// log-probabilities: scripts/fixtures/make_kto.py.
#include "cpx/objectives/kto.h"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/random.h"
#include "tests/objectives/gradient_check.h"

namespace cpx::objectives {
namespace kto_test {

using testing::DoubleNear;
using testing::ElementsAre;

struct LabelledCase {
  std::vector<LabelledAnswer> answers = {};
  std::vector<double> token_nll = {};
  double kl = 0.0;

  void add(bool is_desirable, const std::vector<double>& nll, double reference_nll) {
    const TokenRange tokens{.first = std::ssize(token_nll), .count = std::ssize(nll)};
    token_nll.insert(token_nll.end(), nll.begin(), nll.end());
    answers.push_back({.answer = {.tokens = tokens, .reference_nll = reference_nll},
                       .is_desirable = is_desirable});
  }

  StepCounts counts() const {
    StepCounts counts;
    for (const LabelledAnswer& one : answers) {
      (one.is_desirable ? counts.positive_texts : counts.negative_texts) += 1;
    }
    return counts;
  }
};

ObjectiveResult run(const LabelledCase& one, const KtoOptions& options) {
  return kto({.answers = one.answers, .token_nll = one.token_nll, .kl = one.kl}, options,
             one.counts());
}

// Log ratios: desirable 3 - 2 = 1, undesirable 2 - 5 = -3.
LabelledCase one_of_each(double kl) {
  LabelledCase one{.kl = kl};
  one.add(true, {0.5, 1.5}, 3.0);
  one.add(false, {5.0}, 2.0);
  return one;
}

LabelledCase random_answers(int64_t count, uint64_t seed) {
  CounterRng rng(seed, {});
  LabelledCase one{.kl = rng.uniform()};
  for (int64_t i = 0; i < count; ++i) {
    std::vector<double> nll(1 + rng.below(5));
    for (double& value : nll) value = 0.1 + 3.0 * rng.uniform();
    const double sum = std::accumulate(nll.begin(), nll.end(), 0.0);
    one.add(i % 2 == 0, nll, sum + 6.0 * (rng.uniform() - 0.5));
  }
  return one;
}

// kl 1: the desirable answer's distance is 0, sigmoid 1/2; the undesirable one's 4, with beta ln(3)
// / 4 a sigmoid of 3/4. So the losses are 1/2 and 1/4, the slopes by the distance 1/4 and 3/16.
TEST(Kto, IsTheValueComputedByHand) {
  const double beta = std::log(3.0) / 4.0;
  const ObjectiveResult result = run(one_of_each(1.0), {.beta = beta});
  EXPECT_NEAR(result.loss, (0.5 + 0.25) / 2.0, 1e-15);
  EXPECT_THAT(result.gradient,
              ElementsAre(DoubleNear(beta / 8.0, 1e-15), DoubleNear(beta / 8.0, 1e-15),
                          DoubleNear(-3.0 / 32.0 * beta, 1e-15)));
  EXPECT_EQ(result.positives.tokens, 2);
  EXPECT_EQ(result.hard_negatives.tokens, 1);
}

TEST(Kto, WeightsScaleTheirSide) {
  const double beta = std::log(3.0) / 4.0;
  const KtoOptions options{.beta = beta, .desirable_weight = 2.0, .undesirable_weight = 0.0};
  const ObjectiveResult result = run(one_of_each(1.0), options);
  EXPECT_NEAR(result.loss, 0.5, 1e-15);
  EXPECT_EQ(result.gradient[2], 0.0);
}

// Equal to the reference and no distance: 1/2 whatever the labels and beta.
TEST(Kto, APolicyThatIsItsReferenceHasALossOfOneHalf) {
  LabelledCase one;
  one.add(true, {1.0}, 1.0);
  one.add(false, {2.0, 0.5}, 2.5);
  EXPECT_NEAR(run(one, {.beta = 3.0}).loss, 0.5, 1e-15);
}

TEST(Kto, SmallBetaHasHardlyAGradient) {
  for (const double slope : run(one_of_each(0.0), {.beta = 1e-9}).gradient) {
    EXPECT_LT(std::abs(slope), 1e-9);
  }
}

TEST(Kto, MicroBatchesAreDividedByTheAnswersOfTheStep) {
  const LabelledCase one = one_of_each(0.0);
  StepCounts step = one.counts();
  step.positive_texts += 2;
  const auto of_more = kto({.answers = one.answers, .token_nll = one.token_nll}, {}, step);
  EXPECT_NEAR(of_more.loss, run(one, {}).loss / 2.0, 1e-15);
}

TEST(Kto, GradientMatchesFiniteDifference) {
  for (const double beta : {0.1, 1.0}) {
    const KtoOptions options{.beta = beta, .desirable_weight = 0.7, .undesirable_weight = 1.2};
    const LabelledCase one = random_answers(6, 820);
    const auto loss_at = [&](const std::vector<double>& token_nll) {
      LabelledCase moved = one;
      moved.token_nll = token_nll;
      return run(moved, options).loss;
    };
    expect_gradient(run(one, options).gradient, one.token_nll, loss_at, "kto");
  }
}

TEST(Kto, WhatIsNotFiniteMakesTheLossNaN) {
  LabelledCase nll = one_of_each(0.0);
  nll.token_nll[2] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(run(nll, {}).loss));
  EXPECT_TRUE(std::isnan(run(one_of_each(std::nan("")), {}).loss));
}

TEST(Kto, MistakesAreErrors) {
  EXPECT_EQ(invalid_argument_of([] { run(one_of_each(0.0), {.undesirable_weight = -1.0}); }),
            "[kto] weights: got 1 and -1, expected 0 or more.");
  const LabelledCase one = one_of_each(0.0);
  EXPECT_EQ(invalid_argument_of([&] {
              kto({.answers = one.answers, .token_nll = one.token_nll}, {}, {.positive_texts = 1});
            }),
            "[kto] the step's count is too small: got 1 answers, expected at least the 2 of this "
            "micro batch.");
}

TEST(Kto, EqualsTrl) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/kto.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 8u);
  for (const auto& expected : cases) {
    SCOPED_TRACE(expected["name"].get<std::string>());
    LabelledCase one{.kl = expected["kl"]};
    for (const auto& answer : expected["answers"]) {
      one.add(answer["is_desirable"], answer["nll"], answer["reference_nll"]);
    }
    const auto& settings = expected["settings"];
    const ObjectiveResult result = run(one, {.beta = settings["beta"],
                                             .desirable_weight = settings["desirable_weight"],
                                             .undesirable_weight = settings["undesirable_weight"]});
    const double loss = expected["loss"];
    EXPECT_NEAR(result.loss, loss, 1e-10 * loss);
    size_t at = 0;
    for (const auto& answer : expected["answers"]) {
      for (const double slope : answer["gradient"]) {
        EXPECT_NEAR(result.gradient.at(at++), slope, 1e-10 * std::abs(slope) + 1e-15);
      }
    }
    EXPECT_EQ(at, result.gradient.size());
  }
}

}  // namespace kto_test
}  // namespace cpx::objectives
