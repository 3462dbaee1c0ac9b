// SPDX-License-Identifier: Apache-2.0
// The linear layer with quantised weights, for decoding: integer products of blocks in place. A
// result depends on its own row and weights alone, bit for bit: not on the number of rows, their
// order, the number of threads or the processor.
// Legend: N rows, I inputs, O outputs, B blocks of 32.
#pragma once

#include <vector>

#include <torch/types.h>

#include "cpx/kernels/block_weight.h"

namespace cpx::kernels {

/// `x` [N, I] float32 times the transpose of `weight` [O, I]: [N, O], float32; no gradient. Throws
/// std::invalid_argument if shapes or types do not match.
///
/// A row of x is rounded to int8 in blocks of 32 with the scale d = max|x| / 127. Let s be the
/// (exact) sum of the products of codes, w the scale of the weights and m the minimum of Q4_1. The
/// result is accumulated block by block with fused operations: y = s * (w * d) + y, then y = m * (d
/// * sum of x's codes) + y. So it differs from x times the dequantised weight by at most the sum
/// over blocks of d / 2 * sum|weights|, plus float32 rounding. A block of x with a value that is
/// not finite gives NaN.
torch::Tensor quantized_product(const torch::Tensor& x, const BlockWeight& weight);

/// The same for several weights, in their order: x is rounded once, and the threads synchronise
/// once.
std::vector<torch::Tensor> quantized_products(const torch::Tensor& x,
                                              const std::vector<BlockWeight>& weights);

}  // namespace cpx::kernels
