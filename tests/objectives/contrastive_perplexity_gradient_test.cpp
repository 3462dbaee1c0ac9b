// SPDX-License-Identifier: Apache-2.0
// The hand-written gradient against central differences, for every combination of the options that
// choose a formula, with and without each optional term.
#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/objectives/contrastive_perplexity.h"
#include "tests/objectives/contrast_case.h"
#include "tests/objectives/option_names.h"
#include "tests/support/names.h"

namespace cpx::objectives {
namespace contrastive_perplexity_gradient_test {

using Options = ContrastiveOptions;
constexpr double kStep = 1e-5;
constexpr double kTolerance = 1e-6;  // of the largest gradient of the case

// What is differentiated: without alpha's constant where that can be told, for its digits.
double value_of(const ContrastCase& one, const Options& options) {
  const ObjectiveResult result = run(one, options);
  return result.contrast.value_or(result.loss);
}

double central_difference(ContrastCase one, const Options& options, size_t prediction) {
  const double nll = one.token_nll[prediction];
  one.token_nll[prediction] = nll + kStep;
  const double above = value_of(one, options);
  one.token_nll[prediction] = nll - kStep;
  return (above - value_of(one, options)) / (2.0 * kStep);
}

void expect_gradient_matches(const ContrastCase& one, const Options& options,
                             const std::string& what) {
  const std::vector<double> gradient = run(one, options).gradient;
  double largest = 0.0;
  for (const double slope : gradient) largest = std::max(largest, std::abs(slope));
  ASSERT_GT(largest, 1e-6) << what;
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(gradient[i], central_difference(one, options, i), kTolerance * largest)
        << what << ", prediction " << i;
  }
}

class ContrastivePerplexityGradient
    : public testing::TestWithParam<
          std::tuple<Options::Centroid, Options::Distance, Options::Padding>> {};

TEST_P(ContrastivePerplexityGradient, MatchesFiniteDifference) {
  const auto [centroid, distance, padding] = GetParam();
  uint64_t seed = 100;
  for (const double alpha : {0.0, 1.0, 100.0}) {
    for (const double label_smoothing : {0.0, 0.1}) {
      for (const double weight : {0.0, 0.4}) {
        const Options options{.alpha = alpha,
                              .beta = 1.5,
                              .tau = 0.6,
                              .label_smoothing = label_smoothing,
                              .centroid = centroid,
                              .distance = distance,
                              .padding = padding,
                              .anchor = weight,
                              .hold = 2.0 * weight};
        const bool has_pads = padding == Options::Padding::kPublished;
        const std::string what =
            fmt::format("alpha {}, smoothing {}, anchor {}", alpha, label_smoothing, weight);
        expect_gradient_matches(random_case({.has_pads = has_pads}, ++seed), options, what);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    AllFormulas, ContrastivePerplexityGradient,
    testing::Combine(testing::Values(Options::Centroid::kBatch, Options::Centroid::kGroup,
                                     Options::Centroid::kBase),
                     testing::Values(Options::Distance::kAbsolute, Options::Distance::kSigned),
                     testing::Values(Options::Padding::kExclude, Options::Padding::kPublished)),
    testing_support::by_value);

TEST(ContrastivePerplexityPaper, GradientMatchesFiniteDifference) {
  uint64_t seed = 300;
  for (const auto centroid : {Options::Centroid::kGroup, Options::Centroid::kBase}) {
    for (const auto distance : {Options::Distance::kAbsolute, Options::Distance::kSigned}) {
      for (const auto phi : {Options::Phi::kMeanNll, Options::Phi::kPerplexity}) {
        const Options options{.form = Options::Form::kPaper,
                              .tau = phi == Options::Phi::kMeanNll ? 0.6 : 20.0,
                              .centroid = centroid,
                              .distance = distance,
                              .negative_weight = 1.1,
                              .phi = phi};
        expect_gradient_matches(random_case({}, ++seed), options, fmt::format("seed {}", seed));
      }
    }
  }
}

// Both pushes with both choices of tokens; hold keeps the positives in the gradient.
TEST(ContrastivePerplexityPush, GradientMatchesFiniteDifference) {
  uint64_t seed = 400;
  for (const auto push : {Options::Push::kScore, Options::Push::kNpo}) {
    for (const auto tokens : {Options::PushTokens::kAll, Options::PushTokens::kDiffering}) {
      for (const double aim : {0.0, 0.1, 3.0}) {
        const Options options{.beta = 1.5,
                              .tau = 0.6,
                              .distance = Options::Distance::kSigned,
                              .push = push,
                              .push_aim = aim,
                              .push_tokens = tokens,
                              .hold = 0.7};
        expect_gradient_matches(random_case({}, ++seed), options, fmt::format("seed {}", seed));
      }
    }
  }
}

TEST(ContrastivePerplexity, GradientMatchesFiniteDifferenceForAnyShape) {
  uint64_t seed = 200;
  for (const CaseShape& shape :
       {CaseShape{1, 1, 1, 0}, CaseShape{1, 2, 0, 2}, CaseShape{3, 4, 0, 0}, CaseShape{4, 1, 5, 0},
        CaseShape{2, 6, 6, 6}}) {
    for (const double alpha : {1.0, 100.0}) {
      expect_gradient_matches(random_case(shape, ++seed), {.alpha = alpha},
                              fmt::format("seed {}, alpha {}", seed, alpha));
    }
  }
}

}  // namespace contrastive_perplexity_gradient_test
}  // namespace cpx::objectives
