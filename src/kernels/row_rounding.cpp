// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_rounding.h"

namespace cpx::kernels {

int64_t rounded_rows(int64_t num_rows, torch::Dtype dtype, const torch::Device& device) {
  const bool is_half = dtype == torch::kBFloat16 || dtype == torch::kFloat16;
  if (!device.is_cpu() || !is_half) return num_rows;
  const int64_t multiple = num_rows <= 256 ? 16 : 32;
  return (num_rows + multiple - 1) / multiple * multiple;
}

}  // namespace cpx::kernels
