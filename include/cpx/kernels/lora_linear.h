// SPDX-License-Identifier: Apache-2.0
// A frozen linear layer with a trainable low-rank update, and its dropout.
// Source: Hu et al., "LoRA", ICLR 2022, section 4.1, in PEFT's form (dropout on the update's
// input). Legend: T tokens, I input features, O output features, R rank.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/block_weight.h"

namespace cpx::kernels {

/// The number that a row of a matrix counts as, where it is not its place: a part of a larger
/// matrix has the numbers of its rows there. Null: 0, 1, 2, ...
using RowNumbers = std::shared_ptr<const std::vector<int64_t>>;

struct LoraOptions {
  /// Factor on the update: alpha / R, or alpha / sqrt(R) with rsLoRA.
  double scale = 1.0;
  /// Probability that an input of the update is zeroed; the others are scaled by 1 / (1 - p).
  double dropout = 0.0;
  /// Key of the dropout's random numbers: the same key repeats the same mask.
  uint64_t dropout_key = 0;
  /// Dropout's random numbers depend on a row's number.
  RowNumbers row_numbers = {};
};

/// A frozen linear layer and its update.
struct LinearWeights {
  torch::Tensor weight = {};  // [O, I], the dtype of the input
  torch::Tensor bias = {};    // [O]; may be undefined
  torch::Tensor a = {};       // [R, I], float32 or the dtype of the input; undefined: no update
  torch::Tensor b = {};       // [O, R]
  LoraOptions options = {};
  /// Each row by itself (row_product.h, quantized_product.h), where the weight allows: a row's bits
  /// do not depend on how many there are. Without gradients or dropout.
  bool is_by_row = false;
  BlockWeight blocks = {};  // in place of `weight` where it is quantised; by row only
};

/// x weight^T + bias + scale * dropout(x) a^T b^T, [T, O], of `x` [T, I]. Differentiable in x, a
/// and b; the dropped input is not kept for the backward pass, only one bit a place, and without an
/// update nothing is. Throws std::invalid_argument where shapes do not fit, and for a quantised
/// weight that is not taken by row or would lose a gradient.
torch::Tensor linear(const torch::Tensor& x, const LinearWeights& layer);

/// The same of several layers that read one `x`, in their order. They share its work: one product
/// for the first factors of all updates without dropout, both ways, and one gradient of x, summed
/// up in place.
std::vector<torch::Tensor> shared_linear(const torch::Tensor& x,
                                         const std::vector<LinearWeights>& layers);

/// 0 with probability p, else 1 / (1 - p), at every place of a [rows, columns] tensor; the value
/// at (i, j) depends only on (key, number of row i, j).
torch::Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                           const torch::TensorOptions& options, const RowNumbers& numbers = {});

/// x * dropout_mask: differentiable dropout, x itself for p = 0.
torch::Tensor counter_dropout(const torch::Tensor& x, double p, uint64_t key);

}  // namespace cpx::kernels
