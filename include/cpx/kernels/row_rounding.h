// SPDX-License-Identifier: Apache-2.0
// Rounds up the number of rows of matrix products.
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::kernels {

/// Number of rows to compute for `num_rows` rows; at least `num_rows`. In bfloat16 and float16 on
/// the CPU it is the next multiple of 16, above 256 rows of 32: oneDNN compiles a kernel for each
/// number of rows and keeps it, about 0.75 MiB per product, and hardly two packs have the same
/// number of tokens. Elsewhere it is `num_rows`. The added rows belong to no text: their results
/// are dropped, and their gradient is 0.
int64_t rounded_rows(int64_t num_rows, torch::Dtype dtype, const torch::Device& device);

}  // namespace cpx::kernels
