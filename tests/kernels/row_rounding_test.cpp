// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_rounding.h"

#include <gtest/gtest.h>

namespace cpx::kernels {
namespace row_rounding_test {

TEST(RoundedRows, IsTheNextMultipleOf16Or32InHalfTypesOnTheCpu) {
  for (const auto dtype : {torch::kBFloat16, torch::kFloat16}) {
    EXPECT_EQ(rounded_rows(1, dtype, torch::kCPU), 16);
    EXPECT_EQ(rounded_rows(16, dtype, torch::kCPU), 16);
    EXPECT_EQ(rounded_rows(17, dtype, torch::kCPU), 32);
    EXPECT_EQ(rounded_rows(256, dtype, torch::kCPU), 256);
    EXPECT_EQ(rounded_rows(257, dtype, torch::kCPU), 288);
  }
}

TEST(RoundedRows, LeavesOtherTypesAndDevicesAlone) {
  EXPECT_EQ(rounded_rows(33, torch::kFloat32, torch::kCPU), 33);
  EXPECT_EQ(rounded_rows(33, torch::kBFloat16, torch::Device(torch::kCUDA, 0)), 33);
}

}  // namespace row_rounding_test
}  // namespace cpx::kernels
