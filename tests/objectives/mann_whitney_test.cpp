// SPDX-License-Identifier: Apache-2.0
#include "cpx/objectives/mann_whitney.h"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/errors.h"

namespace cpx::objectives {
namespace mann_whitney_test {

using testing::ElementsAre;

MannWhitney compare(const std::vector<double>& x, const std::vector<double>& y) {
  return mann_whitney(x, y).value();
}

TEST(MidRanks, EqualValuesShareTheMeanOfTheirRanks) {
  EXPECT_THAT(mid_ranks(std::vector<double>{3.0, 1.0, 3.0, 2.0, 3.0, 1.0}),
              ElementsAre(5.0, 1.5, 5.0, 3.0, 5.0, 1.5));
  EXPECT_THAT(mid_ranks({}), ElementsAre());
}

TEST(MidRanks, RefusesWhatHasNoRank) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(mid_ranks(std::vector<double>{1.0, bad}), std::invalid_argument);
  }
  EXPECT_EQ(testing_support::message_of<std::invalid_argument>(
                [] { mid_ranks(std::vector<double>{std::numeric_limits<double>::infinity()}); }),
            "[mid_ranks] a value has no rank: got inf, expected a number.");
}

// Pairs (x, y): 2 > 1, 2 = 2, 4 > 1, 4 > 2: 3.5 of 4. One tie of two: variance
// 4 / 12 * (5 - 6 / 12) = 1.5, excess 3.5 - 2 - 0.5 = 1, p = P(|Z| > 1 / sqrt(1.5)).
TEST(MannWhitney, IsTheValueComputedByHand) {
  const MannWhitney result = compare({2.0, 4.0}, {1.0, 2.0});
  EXPECT_EQ(result.separation, 0.875);
  EXPECT_NEAR(result.p_value, std::erfc(1.0 / std::sqrt(3.0)), 1e-15);
}

TEST(MannWhitney, SwappedSamplesMirrorTheSeparationAndKeepTheP) {
  const std::vector<double> x = {1.0, 4.0, 4.0, 6.0};
  const std::vector<double> y = {0.5, 4.0, 2.0};
  const MannWhitney forward = compare(x, y);
  const MannWhitney backward = compare(y, x);
  EXPECT_NEAR(forward.separation + backward.separation, 1.0, 1e-15);
  EXPECT_EQ(forward.p_value, backward.p_value);
}

TEST(MannWhitney, EqualValuesAreNotSeparated) {
  const MannWhitney result = compare({1.0, 1.0}, {1.0, 1.0, 1.0});
  EXPECT_EQ(result.separation, 0.5);
  EXPECT_EQ(result.p_value, 1.0);
}

TEST(MannWhitney, SeparationIsOneOrZeroWhenTheSamplesDoNotMeet) {
  EXPECT_EQ(compare({5.0, 6.0}, {1.0, 2.0}).separation, 1.0);
  EXPECT_EQ(compare({1.0, 2.0}, {5.0, 6.0}).separation, 0.0);
}

TEST(MannWhitney, AnEmptySampleGivesNoNumber) {
  EXPECT_FALSE(mann_whitney(std::vector<double>{1.0}, {}).has_value());
  EXPECT_FALSE(mann_whitney({}, std::vector<double>{1.0}).has_value());
}

// Orders of 2 and 3 values by U: 1, 1, 2, 2, 2, 1, 1 of 10. Here U is 1: p = 2 * (1 + 1) / 10.
TEST(MannWhitney, TheExactPValueIsTheOneComputedByHand) {
  const std::vector<double> x = {1.0, 3.0};
  const std::vector<double> y = {2.0, 4.0, 5.0};
  const MannWhitney exact = mann_whitney(x, y, PValueMethod::kExactIfSmall).value();
  EXPECT_TRUE(exact.is_exact);
  EXPECT_NEAR(exact.p_value, 0.4, 1e-15);
  EXPECT_EQ(exact.separation, 1.0 / 6.0);
  EXPECT_FALSE(mann_whitney(x, y)->is_exact);
  const MannWhitney backward = mann_whitney(y, x, PValueMethod::kExactIfSmall).value();
  EXPECT_EQ(backward.p_value, exact.p_value);
}

TEST(MannWhitney, InTheMiddleTheExactPValueIsOne) {
  const std::vector<double> x = {1.0, 4.0};
  const std::vector<double> y = {2.0, 3.0};
  EXPECT_EQ(mann_whitney(x, y, PValueMethod::kExactIfSmall)->p_value, 1.0);
}

// scripts/fixtures/make_safety_score.py
TEST(MannWhitney, BothPValuesEqualScipy) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/objectives/mann_whitney.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 10u);
  for (const auto& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const std::vector<double> x = one["x"];
    const std::vector<double> y = one["y"];
    const MannWhitney found = mann_whitney(x, y, PValueMethod::kExactIfSmall).value();
    const double p_value = one["p_value"];
    EXPECT_NEAR(found.separation, one["separation"].get<double>(), 1e-15);
    EXPECT_NEAR(found.p_value, p_value, 1e-12 * p_value);
    EXPECT_EQ(found.is_exact, one["is_exact"]);
    EXPECT_NEAR(mann_whitney(x, y)->p_value, one["p_value_normal"].get<double>(), 1e-14);
  }
}

}  // namespace mann_whitney_test
}  // namespace cpx::objectives
