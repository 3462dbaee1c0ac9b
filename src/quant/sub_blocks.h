// SPDX-License-Identifier: Apache-2.0
// The codes, scales and minima inside the blocks of 5, 2, 3, 4 and 5 bits and of the tables IQ4,
// taken out of their packing. Order and arithmetic are those of
// https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c.
#pragma once

#include <cstdint>
#include <immintrin.h>

#include "block_layout.h"

namespace cpx::quant {

inline float float_of_half(uint16_t half) { return _cvtsh_ss(half); }

/// What the codes of IQ4_NL and IQ4_XS stand for, in units of the scale.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

/// Number `i` (0 to 31) of 16 bytes that hold number j in the low half of byte j and number j + 16
/// in its high half.
inline int half_byte(const uint8_t* bytes, int i) {
  return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}

/// Code `i` (0 to 31) of a block in Q5_0 or Q5_1: 0 to 31.
template <class Block>
int five_bits(const Block& block, int i) {
  return half_byte(block.values, i) | (((block.high[i / 8] >> (i % 8)) & 1) << 4);
}

// 256 numbers are eight runs of 32; `run` is 0 to 7 and `i` a number of it, 0 to 31.

/// A code of 64 bytes of two bits: four runs stand in the same 32 bytes.
inline int two_bits(const uint8_t* bytes, int run, int i) {
  return (bytes[32 * (run / 4) + i] >> (2 * (run % 4))) & 3;
}

/// A code of 128 bytes of four bits: two runs stand in the same 32 bytes.
inline int four_bits_of(const uint8_t* bytes, int run, int i) {
  return (bytes[32 * (run / 2) + i] >> (4 * (run % 2))) & 15;
}

/// A bit of 32 bytes: all runs stand in them.
inline int bit_of(const uint8_t* bytes, int run, int i) { return (bytes[i] >> run) & 1; }

/// A code of a block in Q3_K: -4 to 3.
inline int code_of(const BlockQ3_K& block, int run, int i) {
  return two_bits(block.low, run, i) - 4 * (1 - bit_of(block.high, run, i));
}

/// Scale `part` (0 to 15) of a block in Q3_K, for 16 numbers: -32 to 31.
inline int scale_of(const BlockQ3_K& block, int part) {
  const int low = part < 8 ? block.scales[part] & 15 : block.scales[part - 8] >> 4;
  const int high = (block.scales[8 + part % 4] >> (2 * (part / 4))) & 3;
  return (low | (high << 4)) - 32;
}

/// Scale and minimum `run` (0 to 7) of twelve bytes of a block in Q4_K or Q5_K, for 32 numbers: 0
/// to 63 each.
struct ScaleAndMinimum {
  int scale;
  int minimum;
};
inline ScaleAndMinimum scale_and_minimum(const uint8_t* packed, int run) {
  if (run < 4) return {packed[run] & 63, packed[run + 4] & 63};
  const uint8_t low = packed[run + 4];
  return {(low & 15) | ((packed[run - 4] >> 6) << 4), (low >> 4) | ((packed[run] >> 6) << 4)};
}

/// Scale `run` (0 to 7) of a block in IQ4_XS, for 32 numbers: -32 to 31.
inline int scale_of(const BlockIQ4_XS& block, int run) {
  const int low = (block.low_scales[run / 2] >> (4 * (run % 2))) & 15;
  return (low | (((block.high_scales >> (2 * run)) & 3) << 4)) - 32;
}

}  // namespace cpx::quant
