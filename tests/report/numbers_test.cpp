// SPDX-License-Identifier: Apache-2.0
#include "src/report/numbers.h"

#include <limits>

#include <gtest/gtest.h>

namespace cpx::report {
namespace numbers_test {

TEST(Numbers, HaveFourDigitsAndCommas) {
  EXPECT_EQ(shown(380.4629591108174), "380.5");
  EXPECT_EQ(shown(0.8079427083333334), "0.8079");
  EXPECT_EQ(shown(2854.3292148447986), "2,854");
  EXPECT_EQ(shown(-1234567.0), "-1,234,567");
  EXPECT_EQ(shown(123.0), "123");
  EXPECT_EQ(shown(0.0), "0");
}

TEST(Numbers, VeryLargeAndSmallOnesHavePowersOfTen) {
  EXPECT_EQ(shown(1.6362823021260637e-19), "1.636e-19");
  EXPECT_EQ(shown(1.2346e12 + 0.5), "1.235e+12");
  EXPECT_EQ(shown(12345678901.0), "12,345,678,901");
  EXPECT_EQ(shown(std::numeric_limits<double>::infinity()), "not finite");
}

TEST(Numbers, ChangesHaveASign) {
  EXPECT_EQ(shown_with_sign(0.25), "+0.25");
  EXPECT_EQ(shown_with_sign(-0.25), "-0.25");
  EXPECT_EQ(shown_with_sign(0.0), "0");
}

TEST(Numbers, SecondsHaveTheUnitsOfTheirSize) {
  EXPECT_EQ(shown_seconds(8.21), "8.2 s");
  EXPECT_EQ(shown_seconds(252.0), "4 min 12 s");
  EXPECT_EQ(shown_seconds(7500.0), "2 h 5 min");
}

}  // namespace numbers_test
}  // namespace cpx::report
