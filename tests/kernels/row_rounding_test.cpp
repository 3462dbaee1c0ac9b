// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_rounding.h"

#include <gtest/gtest.h>

namespace cpx::kernels {
namespace row_rounding_test {

TEST(RoundedRows, IsTheNextMultipleOf32InHalfTypesOnTheCpu) {
  for (const auto dtype : {torch::kBFloat16, torch::kFloat16}) {
    EXPECT_EQ(rounded_rows(1, dtype, torch::kCPU), 32);
    EXPECT_EQ(rounded_rows(32, dtype, torch::kCPU), 32);
    EXPECT_EQ(rounded_rows(33, dtype, torch::kCPU), 64);
  }
}

TEST(RoundedRows, LeavesOtherTypesAndDevicesAlone) {
  EXPECT_EQ(rounded_rows(33, torch::kFloat32, torch::kCPU), 33);
  EXPECT_EQ(rounded_rows(33, torch::kBFloat16, torch::Device(torch::kCUDA, 0)), 33);
}

}  // namespace row_rounding_test
}  // namespace cpx::kernels
