// SPDX-License-Identifier: Apache-2.0
#include "src/kernels/fast_exp.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace cpx::kernels {
namespace fast_exp_test {

TEST(FastExp, IsWithinTwoUnitsInTheLastPlace) {
  for (int i = -87'000; i <= 88'000; ++i) {
    const float x = static_cast<float>(i) / 1000.0F;
    const double expected = std::exp(static_cast<double>(x));
    ASSERT_NEAR(fast_exp(x), expected, 2.0 * 0x1.0p-23 * expected) << x;
  }
}

TEST(FastExp, HoldsItsEndsAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
  EXPECT_EQ(fast_exp(-87.001F), 0.0F);
  EXPECT_EQ(fast_exp(-kInfinity), 0.0F);
  EXPECT_EQ(fast_exp(kInfinity), fast_exp(88.0F));
  EXPECT_TRUE(std::isnan(fast_exp(std::nanf(""))));
}

}  // namespace fast_exp_test
}  // namespace cpx::kernels
