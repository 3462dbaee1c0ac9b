// SPDX-License-Identifier: Apache-2.0
// Blocks to numbers, in the order of the operations of
// https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c.
#include "cpx/quant/gguf_blocks.h"

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "block_layout.h"
#include "cpx/core/error.h"
#include "sub_blocks.h"

namespace cpx::quant {

using tensor::StorageLayout;
using tensor::StorageType;

namespace {

void decode(const BlockQ8_0& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int i = 0; i < 32; ++i) values[i] = static_cast<float>(block.values[i]) * scale;
}

void decode(const BlockQ4_0& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int i = 0; i < 16; ++i) values[i] = static_cast<float>((block.values[i] & 15) - 8) * scale;
  for (int i = 0; i < 16; ++i) {
    values[i + 16] = static_cast<float>((block.values[i] >> 4) - 8) * scale;
  }
}

void decode(const BlockQ4_1& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  const float minimum = float_of_half(block.minimum);
  for (int i = 0; i < 16; ++i) {
    values[i] = static_cast<float>(block.values[i] & 15) * scale + minimum;
  }
  for (int i = 0; i < 16; ++i) {
    values[i + 16] = static_cast<float>(block.values[i] >> 4) * scale + minimum;
  }
}

void decode(const BlockQ5_0& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int i = 0; i < 32; ++i) values[i] = static_cast<float>(five_bits(block, i) - 16) * scale;
}

void decode(const BlockQ5_1& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  const float minimum = float_of_half(block.minimum);
  for (int i = 0; i < 32; ++i) {
    values[i] = static_cast<float>(five_bits(block, i)) * scale + minimum;
  }
}

void decode(const BlockQ2_K& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  const float minimum = float_of_half(block.minimum);
  for (int part = 0; part < 16; ++part) {
    const float part_scale = scale * static_cast<float>(block.scales[part] & 15);
    const float part_minimum = minimum * static_cast<float>(block.scales[part] >> 4);
    for (int i = 0; i < 16; ++i) {
      const int code = two_bits(block.values, part / 2, 16 * (part % 2) + i);
      values[16 * part + i] = part_scale * static_cast<float>(code) - part_minimum;
    }
  }
}

void decode(const BlockQ3_K& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int part = 0; part < 16; ++part) {
    const float part_scale = scale * static_cast<float>(scale_of(block, part));
    for (int i = 0; i < 16; ++i) {
      const int code = code_of(block, part / 2, 16 * (part % 2) + i);
      values[16 * part + i] = part_scale * static_cast<float>(code);
    }
  }
}

// Q4_K and Q5_K: eight runs of 32 numbers with a scale and a minimum each.
template <class Block>
void decode_runs(const Block& block, const auto& code_of, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  const float minimum = float_of_half(block.minimum);
  for (int run = 0; run < 8; ++run) {
    const ScaleAndMinimum own = scale_and_minimum(block.scales, run);
    const float run_scale = scale * static_cast<float>(own.scale);
    const float run_minimum = minimum * static_cast<float>(own.minimum);
    for (int i = 0; i < 32; ++i) {
      values[32 * run + i] = run_scale * static_cast<float>(code_of(run, i)) - run_minimum;
    }
  }
}

void decode(const BlockQ4_K& block, float* __restrict values) {
  decode_runs(
      block, [&](int run, int i) { return four_bits_of(block.values, run, i); }, values);
}

void decode(const BlockQ5_K& block, float* __restrict values) {
  const auto code_of = [&](int run, int i) {
    return four_bits_of(block.values, run, i) | (bit_of(block.high, run, i) << 4);
  };
  decode_runs(block, code_of, values);
}

void decode(const BlockIQ4_NL& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int i = 0; i < 32; ++i) {
    values[i] = scale * static_cast<float>(kIq4Values[half_byte(block.values, i)]);
  }
}

void decode(const BlockIQ4_XS& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int run = 0; run < 8; ++run) {
    const float run_scale = scale * static_cast<float>(scale_of(block, run));
    for (int i = 0; i < 32; ++i) {
      const int code = half_byte(block.values + 16 * run, i);
      values[32 * run + i] = run_scale * static_cast<float>(kIq4Values[code]);
    }
  }
}

// Two halves of 128 numbers, each four runs of 32: run r has the low bits of bytes 32 (r % 2) ..
// (lower half of the byte for r < 2, else the upper) and bits 2r, 2r + 1 of the 32 high bytes.
void decode(const BlockQ6_K& block, float* __restrict values) {
  const float scale = float_of_half(block.scale);
  for (int run = 0; run < 8; ++run) {
    const int half = run / 4;
    const uint8_t* low = block.low + 64 * half + 32 * (run % 2);
    const uint8_t* high = block.high + 32 * half;
    const int low_shift = run % 4 < 2 ? 0 : 4;
    const int high_shift = 2 * (run % 4);
    for (int part = 0; part < 2; ++part) {
      const float part_scale = scale * static_cast<float>(block.scales[2 * run + part]);
      float* out = values + 32 * run + 16 * part;
      for (int i = 0; i < 16; ++i) {
        const int low_bits = (low[16 * part + i] >> low_shift) & 15;
        const int high_bits = (high[16 * part + i] >> high_shift) & 3;
        out[i] = part_scale * static_cast<float>((low_bits | (high_bits << 4)) - 32);
      }
    }
  }
}

template <class Block>
void decode_all(std::span<const std::byte> blocks, std::span<float> values) {
  const size_t elements = values.size() / (blocks.size() / sizeof(Block));
  float* out = values.data();
  for (size_t at = 0; at < blocks.size(); at += sizeof(Block), out += elements) {
    Block block;
    std::memcpy(&block, blocks.data() + at, sizeof(Block));
    decode(block, out);
  }
}

void decode_half(std::span<const std::byte> halves, std::span<float> values) {
  const std::byte* in = halves.data();
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    const auto packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
    _mm256_storeu_ps(values.data() + i, _mm256_cvtph_ps(packed));
  }
  for (; i < values.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, in + 2 * i, sizeof(half));
    values[i] = float_of_half(half);
  }
}

// A bfloat16 is the upper half of a float32.
void decode_bfloat16(std::span<const std::byte> halves, std::span<float> values) {
  const std::byte* in = halves.data();
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, in + 2 * i, sizeof(half));
    const uint32_t bits = uint32_t{half} << 16;
    std::memcpy(&values[i], &bits, sizeof(bits));
  }
}

}  // namespace

void dequantize_blocks(StorageType type, std::span<const std::byte> blocks,
                       std::span<float> values) {
  const StorageLayout layout = storage_layout(type);
  const auto block_bytes = static_cast<size_t>(layout.bytes);
  const auto block_elements = static_cast<size_t>(layout.elements);
  CPX_CHECK(blocks.size() % block_bytes == 0 &&
                blocks.size() / block_bytes * block_elements == values.size(),
            "[dequantize_blocks] {} bytes of {} for {} numbers, expected {} bytes for every {}.",
            blocks.size(), layout.name, values.size(), block_bytes, block_elements);
  if (values.empty()) return;
  switch (type) {
    case StorageType::kF32:
      std::memcpy(values.data(), blocks.data(), blocks.size());
      return;
    case StorageType::kF16:
      return decode_half(blocks, values);
    case StorageType::kBF16:
      return decode_bfloat16(blocks, values);
    case StorageType::kQ8_0:
      return decode_all<BlockQ8_0>(blocks, values);
    case StorageType::kQ4_0:
      return decode_all<BlockQ4_0>(blocks, values);
    case StorageType::kQ4_1:
      return decode_all<BlockQ4_1>(blocks, values);
    case StorageType::kQ5_0:
      return decode_all<BlockQ5_0>(blocks, values);
    case StorageType::kQ5_1:
      return decode_all<BlockQ5_1>(blocks, values);
    case StorageType::kQ2_K:
      return decode_all<BlockQ2_K>(blocks, values);
    case StorageType::kQ3_K:
      return decode_all<BlockQ3_K>(blocks, values);
    case StorageType::kQ4_K:
      return decode_all<BlockQ4_K>(blocks, values);
    case StorageType::kQ5_K:
      return decode_all<BlockQ5_K>(blocks, values);
    case StorageType::kQ6_K:
      return decode_all<BlockQ6_K>(blocks, values);
    case StorageType::kIQ4_NL:
      return decode_all<BlockIQ4_NL>(blocks, values);
    case StorageType::kIQ4_XS:
      return decode_all<BlockIQ4_XS>(blocks, values);
  }
}

}  // namespace cpx::quant
