// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_rounding.h"

namespace cpx::kernels {

int64_t rounded_rows(int64_t num_rows, torch::Dtype dtype, const torch::Device& device) {
  constexpr int64_t kMultiple = 32;
  const bool is_half = dtype == torch::kBFloat16 || dtype == torch::kFloat16;
  if (!device.is_cpu() || !is_half) return num_rows;
  return (num_rows + kMultiple - 1) / kMultiple * kMultiple;
}

}  // namespace cpx::kernels
