// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/sft.h"

#include <gmock/gmock.h>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::objectives {
namespace sft_test {

using testing::ElementsAre;

std::string error_of(const std::vector<TokenRange>& texts, const std::vector<double>& nll,
                     int64_t step_tokens) {
  return testing_support::message_of<std::invalid_argument>([&] { sft(texts, nll, step_tokens); });
}

// (1 + 2 + 5) / 4: the prediction between the texts counts nowhere.
TEST(Sft, IsTheMeanOverTheStepsPredictedTokens) {
  const std::vector<TokenRange> texts = {{0, 2}, {3, 1}};
  const std::vector<double> nll = {1.0, 2.0, 9.0, 5.0};
  const ObjectiveResult result = sft(texts, nll, /*step_tokens=*/4);
  EXPECT_EQ(result.loss, 2.0);
  EXPECT_THAT(result.gradient, ElementsAre(0.25, 0.25, 0.0, 0.25));
  EXPECT_EQ(result.contrast, std::nullopt);
  EXPECT_EQ(result.positives.texts, 2);
  EXPECT_EQ(result.positives.tokens, 3);
  EXPECT_EQ(result.positives.nll_sum, 8.0);
  EXPECT_EQ(result.positives.text_nll_sum, 6.5);
}

TEST(Sft, GradientMatchesFiniteDifference) {
  const std::vector<TokenRange> texts = {{0, 2}, {2, 1}};
  const std::vector<double> nll = {0.5, 2.0, 1.25};
  const ObjectiveResult result = sft(texts, nll, /*step_tokens=*/7);
  for (size_t i = 0; i < nll.size(); ++i) {
    std::vector<double> above = nll;
    above[i] += 0.5;
    EXPECT_NEAR(result.gradient[i], (sft(texts, above, 7).loss - result.loss) / 0.5, 1e-15);
  }
}

TEST(Sft, MicroBatchesAddUp) {
  const std::vector<double> nll = {1.0, 2.0, 3.0};
  const double first = sft(std::vector<TokenRange>{{0, 2}}, std::span(nll).first(2), 3).loss;
  const double second = sft(std::vector<TokenRange>{{0, 1}}, std::span(nll).last(1), 3).loss;
  EXPECT_EQ(first + second, 2.0);
}

TEST(Sft, NllThatIsNotFinitePassesThrough) {
  const std::vector<double> nll = {std::numeric_limits<double>::infinity()};
  EXPECT_EQ(sft(std::vector<TokenRange>{{0, 1}}, nll, 1).loss, nll[0]);
}

TEST(Sft, RefusesTextsAndCountsThatDoNotFit) {
  EXPECT_EQ(error_of({{0, 1}, {1, 0}}, {1.0}, 1),
            "[sft] text 1 has no predicted token: got count 0, expected 1 or more.");
  EXPECT_EQ(error_of({{1, 1}}, {1.0}, 1),
            "[sft] text 0 leaves the predictions: got first 1 and count 1, expected them within 1 "
            "predictions.");
  EXPECT_EQ(error_of({{-1, 1}}, {1.0}, 1),
            "[sft] text 0 leaves the predictions: got first -1 and count 1, expected them within 1 "
            "predictions.");
  EXPECT_EQ(error_of({{0, 2}}, {1.0, 1.0}, 1),
            "[sft] the step's count is too small: got 1 predicted tokens, expected at least the 2 "
            "of this micro batch.");
  EXPECT_NE(error_of({}, {}, 0), "(nothing was thrown)");
}

}  // namespace sft_test
}  // namespace cpx::objectives
