// SPDX-License-Identifier: Apache-2.0
// The linear layer for decoding: few rows, all weights. A result's bits depend on its own row and
// weights alone: not on the number of rows, their order or the number of threads, as those of a
// general matrix product do. Legend: N rows, I inputs, O outputs.
#pragma once

#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

/// True where row_product() takes the weight: contiguous float32 or bfloat16 on the CPU.
bool has_row_product(const torch::Tensor& weight);

/// `x` [N, I] times the transpose of `weight` [O, I]: [N, O], float32, as `x` is. The weight, in
/// float32 or bfloat16, is read once, sums are float32; no gradient. Throws std::invalid_argument
/// for shapes or types that do not fit.
torch::Tensor row_product(const torch::Tensor& x, const torch::Tensor& weight);

/// The same with several weights, in their order: threads wait for each other only once.
std::vector<torch::Tensor> row_products(const torch::Tensor& x,
                                        const std::vector<torch::Tensor>& weights);

}  // namespace cpx::kernels
