// SPDX-License-Identifier: Apache-2.0
// A frozen linear layer with a trainable low-rank update, and its dropout.
// Source: Hu et al., "LoRA", ICLR 2022, section 4.1, in PEFT's form (dropout on the update's
// input). Legend: T tokens, I input features, O output features, R rank.
#pragma once

#include <cstdint>

#include <torch/types.h>

namespace cpx::kernels {

struct LoraOptions {
  /// Factor on the update: alpha / R, or alpha / sqrt(R) with rsLoRA.
  double scale = 1.0;
  /// Probability that an input of the update is zeroed; the others are scaled by 1 / (1 - p).
  double dropout = 0.0;
  /// Key of the dropout's random numbers: the same key repeats the same mask.
  uint64_t dropout_key = 0;
};

/// x weight^T + bias + scale * dropout(x) a^T b^T, [T, O]. `x` [T, I]; `weight` [O, I] and `bias`
/// [O] (may be undefined) are frozen; `a` [R, I], `b` [O, R], float32 or x's dtype. Differentiable
/// in x, a and b; the dropped input is not kept for the backward pass, only one bit a place.
torch::Tensor lora_linear(const torch::Tensor& x, const torch::Tensor& weight,
                          const torch::Tensor& bias, const torch::Tensor& a, const torch::Tensor& b,
                          const LoraOptions& options);

/// 0 with probability p, else 1 / (1 - p), at every place of a [rows, columns] tensor; the value
/// at (i, j) depends only on (key, i, j).
torch::Tensor dropout_mask(int64_t rows, int64_t columns, double p, uint64_t key,
                           const torch::TensorOptions& options);

/// x * dropout_mask: differentiable dropout, x itself for p = 0.
torch::Tensor counter_dropout(const torch::Tensor& x, double p, uint64_t key);

}  // namespace cpx::kernels
