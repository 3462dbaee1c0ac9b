// SPDX-License-Identifier: Apache-2.0
// The block codecs of GGUF files: quantised blocks to float32, bit for bit as ggml does it.
#pragma once

#include <cstddef>
#include <span>

#include <torch/types.h>

#include "cpx/tensor/storage_type.h"

namespace cpx::quant {

/// Writes the numbers of `blocks` (stored as `type`) to `values`, whose size must be that of the
/// blocks; throws std::invalid_argument otherwise. Runs in the calling thread.
void dequantize_blocks(tensor::StorageType type, std::span<const std::byte> blocks,
                       std::span<float> values);

/// A tensor of `shape` in `dtype` (float32, bfloat16 or float16, rounded to nearest even from
/// float32) from stored `bytes`; rows are shared among LibTorch's threads.
torch::Tensor dequantize(tensor::StorageType type, std::span<const std::byte> bytes,
                         at::IntArrayRef shape, torch::Dtype dtype);

}  // namespace cpx::quant
