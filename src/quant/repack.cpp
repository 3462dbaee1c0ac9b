// SPDX-License-Identifier: Apache-2.0
#include "repack.h"

#include <cstring>
#include <immintrin.h>

#include "block_layout.h"
#include "cpx/core/error.h"
#include "sub_blocks.h"

namespace cpx::quant {

namespace {

constexpr uint16_t kSignBit = 0x8000;
constexpr uint16_t kExponent = 0x7C00;  // all ones: infinite or no number

uint16_t finite(uint16_t half) {
  CPX_CHECK((half & kExponent) != kExponent,
            "[repack_blocks] got a scale that is not finite in float16.");
  return half;
}

uint16_t finite_half(float value) {
  return finite(static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT)));
}

// number = scale * sub-scale * code - minimum * sub-minimum, with codes of four bits.
void repack(const BlockQ4_K& block, BlockQ4_1 (&out)[8]) {
  const float scale = float_of_half(block.scale);
  const float minimum = float_of_half(block.minimum);
  for (int run = 0; run < 8; ++run) {
    const ScaleAndMinimum own = scale_and_minimum(block.scales, run);
    out[run].scale = finite_half(scale * static_cast<float>(own.scale));
    out[run].minimum = finite_half(-minimum * static_cast<float>(own.minimum));
    for (int i = 0; i < 16; ++i) {
      const int low = four_bits_of(block.values, run, i);
      const int high = four_bits_of(block.values, run, i + 16);
      out[run].values[i] = static_cast<uint8_t>(low | (high << 4));
    }
  }
}

// The sub-scale goes into the codes. Their product is -124 to 128: with the other sign it fits.
void repack(const BlockQ3_K& block, BlockQ8_0 (&out)[8]) {
  const auto scale = static_cast<uint16_t>(finite(block.scale) ^ kSignBit);
  for (int run = 0; run < 8; ++run) {
    out[run].scale = scale;
    for (int half = 0; half < 2; ++half) {
      const int minus_scale = -scale_of(block, 2 * run + half);
      for (int i = 16 * half; i < 16 * half + 16; ++i) {
        out[run].values[i] = static_cast<int8_t>(minus_scale * code_of(block, run, i));
      }
    }
  }
}

void repack(const BlockQ5_0& block, BlockQ8_0 (&out)[1]) {
  out[0].scale = finite(block.scale);
  for (int i = 0; i < 32; ++i) out[0].values[i] = static_cast<int8_t>(five_bits(block, i) - 16);
}

void repack(const BlockIQ4_NL& block, BlockQ8_0 (&out)[1]) {
  out[0].scale = finite(block.scale);
  for (int i = 0; i < 32; ++i) out[0].values[i] = kIq4Values[half_byte(block.values, i)];
}

void repack(const BlockIQ4_XS& block, BlockQ8_0 (&out)[8]) {
  const float scale = float_of_half(block.scale);
  for (int run = 0; run < 8; ++run) {
    out[run].scale = finite_half(scale * static_cast<float>(scale_of(block, run)));
    for (int i = 0; i < 32; ++i) {
      out[run].values[i] = kIq4Values[half_byte(block.values + 16 * run, i)];
    }
  }
}

template <class From, class To, size_t N>
void repack_all(std::span<const std::byte> blocks, std::span<std::byte> out) {
  std::byte* to = out.data();
  for (size_t at = 0; at < blocks.size(); at += sizeof(From), to += N * sizeof(To)) {
    From block;
    std::memcpy(&block, blocks.data() + at, sizeof(From));
    To parts[N];
    repack(block, parts);
    std::memcpy(to, parts, sizeof(parts));
  }
}

}  // namespace

bool can_repack(StorageType from, StorageType to) {
  switch (from) {
    case StorageType::kQ4_K:
      return to == StorageType::kQ4_1;
    case StorageType::kQ3_K:
    case StorageType::kQ5_0:
    case StorageType::kIQ4_NL:
    case StorageType::kIQ4_XS:
      return to == StorageType::kQ8_0;
    default:
      return false;
  }
}

void repack_blocks(StorageType from, StorageType to, std::span<const std::byte> blocks,
                   std::span<std::byte> out) {
  CPX_CHECK(can_repack(from, to), "[repack_blocks] {} has no form in {}.",
            storage_layout(from).name, storage_layout(to).name);
  switch (from) {
    case StorageType::kQ4_K:
      return repack_all<BlockQ4_K, BlockQ4_1, 8>(blocks, out);
    case StorageType::kQ3_K:
      return repack_all<BlockQ3_K, BlockQ8_0, 8>(blocks, out);
    case StorageType::kQ5_0:
      return repack_all<BlockQ5_0, BlockQ8_0, 1>(blocks, out);
    case StorageType::kIQ4_NL:
      return repack_all<BlockIQ4_NL, BlockQ8_0, 1>(blocks, out);
    default:
      return repack_all<BlockIQ4_XS, BlockQ8_0, 8>(blocks, out);
  }
}

}  // namespace cpx::quant
