// SPDX-License-Identifier: Apache-2.0
// The inner loops of quantized_product.cpp, one body for AVX2 and one for AVX-512 with VNNI. Both
// give the same bits: sums of products of codes are exact, and a result's blocks are added in their
// order. Legend: N rows, O outputs, B blocks of 32 inputs.
#pragma once

#include <cstdint>

#include "cpx/tensor/storage_type.h"

namespace cpx::kernels {

constexpr int64_t kBlockInputs = 32;
/// Outputs that threads share out: no body's tile is wider.
constexpr int64_t kTileOutputs = 16;

/// 32 numbers of an input row as codes times a scale.
struct InputBlock {
  int8_t codes[kBlockInputs];  // -127 to 127
  float scale;
  float scaled_sum;        // scale * the codes' sum: what Q4_1's minima are multiplied with
  int32_t minus_8_sums;    // -8 * the codes' sum: a Q4_0 weight is its code - 8
  int32_t minus_128_sums;  // the same of signed codes that are raised to unsigned ones
};

struct BlockProduct {
  tensor::StorageType type;
  const InputBlock* x;    // [B, N]
  const uint8_t* weight;  // [O, B] blocks
  float* y;               // [N, O]
  int64_t blocks;
  int64_t outputs;
  int64_t rows;
};

/// The 32 numbers as codes, each rounded to nearest even. With one that is not finite the scale is
/// NaN; numbers whose scale would be next to nothing (all below 4e-37) are zeros.
InputBlock round_block(const float* numbers);

/// Outputs [begin, end) of all rows; `begin` is a multiple of kTileOutputs.
using MultiplyBlocks = void(const BlockProduct& own, int64_t begin, int64_t end);
MultiplyBlocks multiply_blocks_avx2;
MultiplyBlocks multiply_blocks_avx512;  // where has_avx512_vnni()

}  // namespace cpx::kernels
