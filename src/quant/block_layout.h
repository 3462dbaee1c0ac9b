// SPDX-License-Identifier: Apache-2.0
// The block formats of GGUF: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h.
// Numbers are little-endian.
#pragma once

#include <cstdint>

#include "cpx/tensor/storage_type.h"

namespace cpx::quant {

using tensor::storage_layout;
using tensor::StorageType;

// Each block is copied to a struct of bytes first: blocks lie at odd addresses.
struct BlockQ8_0 {
  uint16_t scale;  // f16, as all scales
  int8_t values[32];
};
static_assert(sizeof(BlockQ8_0) == storage_layout(StorageType::kQ8_0).bytes);

struct BlockQ4_0 {
  uint16_t scale;
  uint8_t values[16];  // number j in the low half of byte j, number j + 16 in the high half
};
static_assert(sizeof(BlockQ4_0) == storage_layout(StorageType::kQ4_0).bytes);

struct BlockQ4_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t values[16];  // as in Q4_0
};
static_assert(sizeof(BlockQ4_1) == storage_layout(StorageType::kQ4_1).bytes);

struct BlockQ6_K {
  uint8_t low[128];   // lower four bits
  uint8_t high[64];   // upper two bits
  int8_t scales[16];  // one for 16 numbers
  uint16_t scale;
};
static_assert(sizeof(BlockQ6_K) == storage_layout(StorageType::kQ6_K).bytes);

}  // namespace cpx::quant
