// SPDX-License-Identifier: Apache-2.0
// With how many rows the matrix products of a pack are computed.
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::kernels {

/// Rows for the matrix products of `num_rows` rows: at least as many. In bfloat16 and float16 on
/// the CPU the next multiple of 16, beyond 256 rows of 32: there oneDNN compiles kernels for each
/// number of rows and keeps them, about 0.75 MiB a product, and packs hardly ever have equally many
/// tokens. Elsewhere `num_rows`. The further rows belong to no text: their results are cut off,
/// their gradient is 0.
int64_t rounded_rows(int64_t num_rows, torch::Dtype dtype, const torch::Device& device);

}  // namespace cpx::kernels
