// SPDX-License-Identifier: Apache-2.0
// Numbers to blocks, as the reference quantisers of
// https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c do it, a product and a sum rounded
// one after the other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <immintrin.h>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "block_layout.h"
#include "cpx/core/error.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/tensor/device.h"
#include "repack.h"

namespace cpx::quant {

using tensor::StorageLayout;

namespace {

uint16_t half_of(float value) {
  return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

// 1 / scale; 0 where the scale is next to nothing: as float16 it is zero.
float inverse_of(float scale) {
  const float inverse = 1.0F / scale;
  return std::isfinite(inverse) ? inverse : 0.0F;
}

// A number of half codes, cut to a code of four bits.
int four_bits(float code) { return std::min(15, static_cast<int>(code)); }

void encode(const float* values, BlockQ8_0& block) {
  float largest = 0.0F;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(values[i]));
  const float scale = largest / 127.0F;
  const float inverse = inverse_of(scale);
  block.scale = half_of(scale);
  for (int i = 0; i < 32; ++i) {
    block.values[i] = static_cast<int8_t>(std::round(values[i] * inverse));
  }
}

// The number of the largest magnitude (the first of them) becomes code 0, which is -8.
void encode(const float* values, BlockQ4_0& block) {
  const float largest = *std::max_element(
      values, values + 32, [](float a, float b) { return std::abs(a) < std::abs(b); });
  const float scale = largest / -8.0F;
  const float inverse = inverse_of(scale);
  block.scale = half_of(scale);
  for (int i = 0; i < 16; ++i) {
    const int low = four_bits(values[i] * inverse + 8.5F);
    const int high = four_bits(values[i + 16] * inverse + 8.5F);
    block.values[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

void encode(const float* values, BlockQ4_1& block) {
  const auto [smallest, largest] = std::minmax_element(values, values + 32);
  const float minimum = *smallest;
  const float scale = (*largest - minimum) / 15.0F;
  const float inverse = inverse_of(scale);
  block.scale = half_of(scale);
  block.minimum = half_of(minimum);
  for (int i = 0; i < 16; ++i) {
    const int low = four_bits((values[i] - minimum) * inverse + 0.5F);
    const int high = four_bits((values[i + 16] - minimum) * inverse + 0.5F);
    block.values[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

template <class Block>
void encode_all(std::span<const float> values, std::span<std::byte> blocks) {
  const float* in = values.data();
  for (size_t at = 0; at < blocks.size(); at += sizeof(Block), in += 32) {
    Block block;
    encode(in, block);
    std::memcpy(blocks.data() + at, &block, sizeof(Block));
  }
}

bool has_encoder(StorageType type) {
  return type == StorageType::kQ8_0 || type == StorageType::kQ4_0 || type == StorageType::kQ4_1;
}

StorageType stored_type(const torch::Tensor& weight) {
  switch (weight.scalar_type()) {
    case at::kFloat:
      return StorageType::kF32;
    case at::kBFloat16:
      return StorageType::kBF16;
    case at::kHalf:
      return StorageType::kF16;
    default:
      throw_<std::invalid_argument>("[quantize] got {}, expected float32, bfloat16 or float16.",
                                    tensor::dtype_name(weight.scalar_type()));
  }
}

}  // namespace

void quantize_blocks(StorageType type, std::span<const float> values, std::span<std::byte> blocks) {
  const StorageLayout layout = storage_layout(type);
  CPX_CHECK(has_encoder(type), "[quantize_blocks] got type {}, expected Q8_0, Q4_0 or Q4_1.",
            layout.name);
  const auto block_bytes = static_cast<size_t>(layout.bytes);
  const auto block_elements = static_cast<size_t>(layout.elements);
  CPX_CHECK(values.size() % block_elements == 0 &&
                values.size() / block_elements * block_bytes == blocks.size(),
            "[quantize_blocks] {} bytes of {} for {} numbers, expected {} bytes for every {}.",
            blocks.size(), layout.name, values.size(), block_bytes, block_elements);
  CPX_CHECK(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }),
            "[quantize_blocks] got a number that is not finite, which {} cannot hold.",
            layout.name);
  switch (type) {
    case StorageType::kQ8_0:
      return encode_all<BlockQ8_0>(values, blocks);
    case StorageType::kQ4_0:
      return encode_all<BlockQ4_0>(values, blocks);
    default:
      return encode_all<BlockQ4_1>(values, blocks);
  }
}

torch::Tensor quantize(StorageType type, StorageType from, std::span<const std::byte> bytes,
                       at::IntArrayRef shape) {
  const StorageLayout layout = storage_layout(type);
  const StorageLayout stored = storage_layout(from);
  const int64_t elements = std::max(layout.elements, stored.elements);
  CPX_CHECK(shape.size() == 2 && shape[1] % elements == 0,
            "[quantize] got {} of {} for {}, expected [O, a multiple of {}].",
            tensor::shape_text(shape), stored.name, layout.name, elements);
  const int64_t stored_bytes = shape[1] / stored.elements * stored.bytes;  // of a row
  const int64_t row_bytes = shape[1] / layout.elements * layout.bytes;
  CPX_CHECK(shape[0] * stored_bytes == static_cast<int64_t>(bytes.size()),
            "[quantize] got {} bytes of {} for {}, expected {}.", bytes.size(), stored.name,
            tensor::shape_text(shape), shape[0] * stored_bytes);
  auto result = at::empty({shape[0], row_bytes}, at::kByte);
  const std::span out(static_cast<std::byte*>(result.mutable_data_ptr()), result.nbytes());
  at::parallel_for(0, shape[0], /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(shape[1]));
    for (int64_t i = begin; i < end; ++i) {
      const auto part_of = [i](auto all, int64_t size) {
        return all.subspan(static_cast<size_t>(i * size), static_cast<size_t>(size));
      };
      const auto stored_row = part_of(bytes, stored_bytes);
      const auto out_row = part_of(out, row_bytes);
      if (can_repack(from, type)) {
        repack_blocks(from, type, stored_row, out_row);
      } else {
        dequantize_blocks(from, stored_row, row);
        quantize_blocks(type, row, out_row);
      }
    }
  });
  return result;
}

torch::Tensor quantize(StorageType type, const torch::Tensor& weight) {
  CPX_CHECK(weight.is_cpu(), "[quantize] got a weight on {}, expected one on the CPU.",
            weight.device().str());
  const auto rows = weight.contiguous();
  return quantize(type, stored_type(rows),
                  {static_cast<const std::byte*>(rows.const_data_ptr()), rows.nbytes()},
                  rows.sizes());
}

}  // namespace cpx::quant
