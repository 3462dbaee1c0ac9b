// SPDX-License-Identifier: Apache-2.0
// The linear layer over quantised weights, for decoding: integer products of blocks in place. A
// result's bits depend on its own row and weights alone: not on the number of rows, their order,
// the number of threads or the processor. Legend: N rows, I inputs, O outputs, B blocks of 32.
#pragma once

#include <vector>

#include <torch/types.h>

#include "cpx/kernels/block_weight.h"

namespace cpx::kernels {

/// `x` [N, I] float32 times the transpose of `weight` [O, I]: [N, O], float32; no gradient. Throws
/// std::invalid_argument for shapes or types that do not fit.
///
/// A row of x is rounded to int8 by blocks of 32, with the scale d = max|x| / 127. With the sums s
/// of products of codes (exact), the weights' scales w and the minima m of Q4_1, a result is, block
/// by block and fused: y = s * (w * d) + y, then y = m * (d * sum of x's codes) + y. So it differs
/// from x times the dequantised weight by at most the sum over blocks of d / 2 * sum|weights|, and
/// float32's rounding. A block of x with a number that is not finite gives NaN.
torch::Tensor quantized_product(const torch::Tensor& x, const BlockWeight& weight);

/// The same with several weights, in their order: x is rounded once, threads wait for each other
/// once.
std::vector<torch::Tensor> quantized_products(const torch::Tensor& x,
                                              const std::vector<BlockWeight>& weights);

}  // namespace cpx::kernels
