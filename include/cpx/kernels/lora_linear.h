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

/// Row numbers that dropout uses in place of 0, 1, 2, ...: a part of a larger matrix passes the
/// numbers of its rows there. Null: 0, 1, 2, ...
using RowNumbers = std::shared_ptr<const std::vector<int64_t>>;

struct LoraOptions {
  /// Factor on the update: alpha / R, or alpha / sqrt(R) with rsLoRA.
  double scale = 1.0;
  /// Probability that an input of the update is zeroed; the others are scaled by 1 / (1 - p).
  double dropout = 0.0;
  /// Key of the random numbers of dropout: the same key repeats the same mask.
  uint64_t dropout_key = 0;
  /// Numbers of the rows, on which the random numbers of dropout depend.
  RowNumbers row_numbers = {};
};

/// A frozen linear layer and its update.
struct LinearWeights {
  torch::Tensor weight = {};  // [O, I], the dtype of the input
  torch::Tensor bias = {};    // [O]; may be undefined
  torch::Tensor a = {};       // [R, I], float32 or the dtype of the input; undefined: no update
  torch::Tensor b = {};       // [O, R]
  LoraOptions options = {};
  /// Compute each row by itself (row_product.h, quantized_product.h) if the weight allows it: a
  /// row's result is then bit-identical whatever the number of rows. Without gradients or dropout.
  bool is_by_row = false;
  BlockWeight blocks = {};  // replaces a quantised `weight`; by row only
};

/// x weight^T + bias + scale * dropout(x) a^T b^T, [T, O], of `x` [T, I]. Differentiable in x, a
/// and b. For the backward pass it keeps one bit per element in place of the dropped input, and
/// nothing without an update. Throws std::invalid_argument if shapes do not match, and for a
/// quantised weight that is not computed by row or would need a gradient.
torch::Tensor linear(const torch::Tensor& x, const LinearWeights& layer);

/// As linear() for several layers with the same input `x`; results in their order. The layers share
/// work: one product for the first factors of all updates without dropout, forward and backward,
/// and one gradient of x, accumulated in place.
std::vector<torch::Tensor> shared_linear(const torch::Tensor& x,
                                         const std::vector<LinearWeights>& layers);

/// 0 with probability p, else 1 / (1 - p), for every element of a [rows, columns] tensor; the value
/// at (i, j) depends only on (key, number of row i, j).
torch::Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                           const torch::TensorOptions& options, const RowNumbers& numbers = {});

/// x * dropout_mask: differentiable dropout, x itself for p = 0.
torch::Tensor counter_dropout(const torch::Tensor& x, double p, uint64_t key);

}  // namespace cpx::kernels
