// SPDX-License-Identifier: Apache-2.0
// The block formats of GGUF: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h.
// Numbers are little-endian.
#pragma once

#include <cstdint>

#include "cpx/tensor/storage_type.h"

namespace cpx::quant {

using tensor::storage_layout;
using tensor::StorageType;

/// A block as a file holds it. Each is copied to such a struct first: blocks lie at odd addresses.
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

struct BlockQ5_0 {
  uint16_t scale;
  uint8_t high[4];     // the fifth bit of number j is bit j
  uint8_t values[16];  // the lower four, as in Q4_0
};
static_assert(sizeof(BlockQ5_0) == storage_layout(StorageType::kQ5_0).bytes);

struct BlockQ5_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t high[4];  // as in Q5_0
  uint8_t values[16];
};
static_assert(sizeof(BlockQ5_1) == storage_layout(StorageType::kQ5_1).bytes);

struct BlockQ2_K {
  uint8_t scales[16];  // one for 16 numbers: the scale in the low half, the minimum in the high one
  uint8_t values[64];  // two bits a number
  uint16_t scale;      // of the scales
  uint16_t minimum;    // of the minima
};
static_assert(sizeof(BlockQ2_K) == storage_layout(StorageType::kQ2_K).bytes);

struct BlockQ3_K {
  uint8_t high[32];    // the third bit, inverted: of number 32 r + i in bit r of byte i
  uint8_t low[64];     // the lower two
  uint8_t scales[12];  // sixteen of six bits, one for 16 numbers
  uint16_t scale;
};
static_assert(sizeof(BlockQ3_K) == storage_layout(StorageType::kQ3_K).bytes);

struct BlockQ4_K {
  uint16_t scale;      // of the scales
  uint16_t minimum;    // of the minima
  uint8_t scales[12];  // eight scales and eight minima of six bits, one for 32 numbers
  uint8_t values[128];
};
static_assert(sizeof(BlockQ4_K) == storage_layout(StorageType::kQ4_K).bytes);

struct BlockQ5_K {
  uint16_t scale;  // as in Q4_K
  uint16_t minimum;
  uint8_t scales[12];
  uint8_t high[32];  // the fifth bit of number 32 r + i in bit r of byte i
  uint8_t values[128];
};
static_assert(sizeof(BlockQ5_K) == storage_layout(StorageType::kQ5_K).bytes);

struct BlockIQ4_NL {
  uint16_t scale;
  uint8_t values[16];  // places in a table, as in Q4_0
};
static_assert(sizeof(BlockIQ4_NL) == storage_layout(StorageType::kIQ4_NL).bytes);

struct BlockIQ4_XS {
  uint16_t scale;         // of the scales
  uint16_t high_scales;   // the upper two bits of each
  uint8_t low_scales[4];  // the lower four
  uint8_t values[128];    // places in IQ4_NL's table
};
static_assert(sizeof(BlockIQ4_XS) == storage_layout(StorageType::kIQ4_XS).bytes);

struct BlockQ6_K {
  uint8_t low[128];   // lower four bits
  uint8_t high[64];   // upper two bits
  int8_t scales[16];  // one for 16 numbers
  uint16_t scale;
};
static_assert(sizeof(BlockQ6_K) == storage_layout(StorageType::kQ6_K).bytes);

}  // namespace cpx::quant
