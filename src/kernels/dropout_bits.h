// SPDX-License-Identifier: Apache-2.0
// Which places of a matrix dropout keeps, one bit a place, from counter-based random numbers.
// Legend: T rows, I columns.
#pragma once

#include <cstdint>

#include <torch/types.h>

#include "cpx/kernels/lora_linear.h"

namespace cpx::kernels {

/// Bit i of byte j of a row is 1 where column 8 j + i is kept: with probability 1 - p, by (key,
/// row, column) alone; `numbers` number the rows. uint8 [T, ceil(I / 8)], on the CPU.
torch::Tensor dropout_bits(int64_t rows, int64_t columns, double p, uint64_t key,
                           const RowNumbers& numbers = nullptr);

/// The same for `x` [T, I]: on a GPU with cpx's own kernels made there, else on the CPU.
torch::Tensor dropout_bits_for(const torch::Tensor& x, double p, uint64_t key,
                               const RowNumbers& numbers = nullptr);

/// `x` [T, I] times `factor` where `bits` keep it, else 0.
torch::Tensor keep(const torch::Tensor& x, const torch::Tensor& bits, double factor);

/// Adds the same to `sum` [T, I] in place.
void add_kept(torch::Tensor& sum, const torch::Tensor& x, const torch::Tensor& bits, double factor);

}  // namespace cpx::kernels
