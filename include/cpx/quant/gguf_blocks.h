// SPDX-License-Identifier: Apache-2.0
// The block codecs of GGUF files: quantised blocks to float32 and back, bit-identical to ggml.
#pragma once

#include <cstddef>
#include <span>

#include <torch/types.h>

#include "cpx/tensor/storage_type.h"

namespace cpx::quant {

/// Writes the values of `blocks` (stored as `type`) to `values`, whose size must match; otherwise
/// throws std::invalid_argument. Runs in the calling thread.
void dequantize_blocks(tensor::StorageType type, std::span<const std::byte> blocks,
                       std::span<float> values);

/// A tensor of `shape` in `dtype` (float32, bfloat16 or float16, rounded to nearest even from
/// float32) from stored `bytes`; LibTorch's threads share the rows.
torch::Tensor dequantize(tensor::StorageType type, std::span<const std::byte> bytes,
                         at::IntArrayRef shape, torch::Dtype dtype);

/// Writes `values` as blocks of `type` (Q8_0, Q4_0 or Q4_1) to `blocks`, whose size must match.
/// Throws std::invalid_argument if it does not, and if a value is not finite. Runs in the calling
/// thread.
void quantize_blocks(tensor::StorageType type, std::span<const float> values,
                     std::span<std::byte> blocks);

/// Converts a weight of `shape` [O, I], stored as `from` in `bytes`, to blocks of `type`: uint8 [O,
/// bytes of a row]. Q4_K keeps its codes in Q4_1 (scales and minima rounded to float16), and IQ4_XS
/// its codes in Q8_0; Q3_K, Q5_0 and IQ4_NL convert to Q8_0 exactly. Works row by row; LibTorch's
/// threads share the rows. Throws std::invalid_argument if a row is not a whole number of blocks,
/// and if a value is not finite.
torch::Tensor quantize(tensor::StorageType type, tensor::StorageType from,
                       std::span<const std::byte> bytes, at::IntArrayRef shape);

/// The same for a weight in float32, bfloat16 or float16 on the CPU.
torch::Tensor quantize(tensor::StorageType type, const torch::Tensor& weight);

}  // namespace cpx::quant
