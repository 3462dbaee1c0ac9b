// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/quantized_product.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <immintrin.h>
#include <limits>
#include <memory>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "block_tile.h"
#include "cpu_units.h"
#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

// Blocks of x that are worth a second thread: a few microseconds' work.
constexpr int64_t kBlocksAtOnce = 512;

int32_t largest_of(__m256i values) {
  const __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  return std::max(_mm_cvtsi128_si32(two), _mm_extract_epi32(two, 1));
}

int32_t sum_of(__m256i values) {
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  return _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
}

// [N, I] as [B, N] blocks.
std::unique_ptr<InputBlock[]> rounded(const Tensor& x) {
  const int64_t rows = x.size(0);
  const int64_t blocks = x.size(1) / kBlockInputs;
  auto result = std::make_unique_for_overwrite<InputBlock[]>(static_cast<size_t>(rows * blocks));
  const float* numbers = x.const_data_ptr<float>();
  at::parallel_for(0, rows * blocks, kBlocksAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / blocks;
      const int64_t block = i % blocks;
      result[static_cast<size_t>(block * rows + row)] = round_block(numbers + i * kBlockInputs);
    }
  });
  return result;
}

int64_t num_tiles(const BlockProduct& own) {
  return (own.outputs + kTileOutputs - 1) / kTileOutputs;
}

// All products in one go: threads wait for each other once.
void multiply_in_parallel(const std::vector<BlockProduct>& products) {
  MultiplyBlocks& multiply = has_avx512_vnni() ? multiply_blocks_avx512 : multiply_blocks_avx2;
  std::vector<int64_t> first_tiles = {0};  // of each product, and the number of all
  for (const BlockProduct& own : products) {
    first_tiles.push_back(first_tiles.back() + num_tiles(own));
  }
  at::parallel_for(0, first_tiles.back(), 1, [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < products.size(); ++i) {
      const int64_t first = std::max(begin, first_tiles[i]) - first_tiles[i];
      const int64_t last = std::min(end, first_tiles[i + 1]) - first_tiles[i];
      if (first >= last) continue;
      multiply(products[i], first * kTileOutputs,
               std::min(last * kTileOutputs, products[i].outputs));
    }
  });
}

void check_product(const Tensor& x, const BlockWeight& weight) {
  CPX_CHECK(weight.is_defined(), "[quantized_product] got no weight, expected blocks.");
  CPX_CHECK(x.dim() == 2 && x.size(1) == weight.num_inputs(),
            "[quantized_product] shapes do not fit: got x {} and {} weight [{}, {}], expected [N, "
            "I] and [O, I].",
            tensor::shape_text(x.sizes()), tensor::storage_layout(weight.type).name,
            weight.num_outputs(), weight.num_inputs());
  CPX_CHECK(x.scalar_type() == at::kFloat && x.is_cpu(),
            "[quantized_product] got x {} on {}, expected float32 on the CPU.",
            tensor::dtype_name(x.scalar_type()), x.device().str());
}

}  // namespace

InputBlock round_block(const float* numbers) {
  __m256 values[4];
  __m256i magnitudes = _mm256_setzero_si256();  // as integers, so that no NaN is passed over
  for (int i = 0; i < 4; ++i) {
    values[i] = _mm256_loadu_ps(numbers + 8 * i);
    const auto bits = _mm256_and_si256(_mm256_castps_si256(values[i]),
                                       _mm256_set1_epi32(std::numeric_limits<int32_t>::max()));
    magnitudes = _mm256_max_epi32(magnitudes, bits);
  }
  const float largest = std::bit_cast<float>(largest_of(magnitudes));
  float factor = 127.0F / largest;
  const bool has_codes = std::isfinite(largest) && std::isfinite(factor);
  if (!has_codes) factor = 0.0F;

  InputBlock block;
  __m256i codes[4];
  for (int i = 0; i < 4; ++i) {
    codes[i] = has_codes ? _mm256_cvtps_epi32(_mm256_mul_ps(values[i], _mm256_set1_ps(factor)))
                         : _mm256_setzero_si256();
  }
  // Packing works within the two halves of a register: codes come in fours, 0 2 4 6 1 3 5 7.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(codes[0], codes[1]),
                                            _mm256_packs_epi32(codes[2], codes[3]));
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(block.codes),
      _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  const int32_t sum = sum_of(
      _mm256_add_epi32(_mm256_add_epi32(codes[0], codes[1]), _mm256_add_epi32(codes[2], codes[3])));
  block.scale = std::isfinite(largest) ? largest / 127.0F : std::numeric_limits<float>::quiet_NaN();
  block.scaled_sum = block.scale * static_cast<float>(sum);
  block.minus_8_sums = -8 * sum;
  block.minus_128_sums = -128 * sum;
  return block;
}

std::vector<Tensor> quantized_products(const Tensor& x, const std::vector<BlockWeight>& weights) {
  for (const BlockWeight& weight : weights) check_product(x, weight);
  const auto blocks = rounded(x.contiguous());
  std::vector<Tensor> results;
  std::vector<BlockProduct> products;
  for (const BlockWeight& weight : weights) {
    results.push_back(at::empty({x.size(0), weight.num_outputs()}, x.options()));
    products.push_back({.type = weight.type,
                        .x = blocks.get(),
                        .weight = weight.bytes.const_data_ptr<uint8_t>(),
                        .y = results.back().mutable_data_ptr<float>(),
                        .blocks = x.size(1) / kBlockInputs,
                        .outputs = weight.num_outputs(),
                        .rows = x.size(0)});
  }
  multiply_in_parallel(products);
  return results;
}

Tensor quantized_product(const Tensor& x, const BlockWeight& weight) {
  return quantized_products(x, {weight}).front();
}

}  // namespace cpx::kernels
