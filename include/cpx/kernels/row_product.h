// SPDX-License-Identifier: Apache-2.0
// The linear layer for decoding: few rows, all weights. A result depends on its own row and weights
// alone, bit for bit; that of a general matrix product also depends on the number of rows, their
// order and the number of threads.
// Legend: N rows, I inputs, O outputs.
#pragma once

#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

/// True if row_product() accepts the weight: contiguous float32 or bfloat16 on the CPU.
bool has_row_product(const torch::Tensor& weight);

/// `x` [N, I] float32 times the transpose of `weight` [O, I]: [N, O], float32. The weight, float32
/// or bfloat16, is read once; sums are float32; no gradient. Throws std::invalid_argument if shapes
/// or types do not match.
torch::Tensor row_product(const torch::Tensor& x, const torch::Tensor& weight);

/// The same for several weights, in their order; the threads synchronise once.
std::vector<torch::Tensor> row_products(const torch::Tensor& x,
                                        const std::vector<torch::Tensor>& weights);

}  // namespace cpx::kernels
