// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (see cpx/core/random.h) on eight counters at once: word i of the block with the
// counter (c, row, 0, 0) decides about column 4 c + i.
#include "dropout_bits.h"

#include <algorithm>
#include <immintrin.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "row_plugin.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;

constexpr int kRounds = 10;
constexpr int64_t kColumnsPerCall = 32;  // eight blocks of four words
constexpr int64_t kRowsPerTask = 16;

struct Products {
  __m256i high;
  __m256i low;
};

// The 64-bit products of eight numbers with `multiplier`, cut into halves.
Products multiply(__m256i numbers, uint32_t multiplier) {
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(multiplier));
  const __m256i even = _mm256_mul_epu32(numbers, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(numbers, 32), factor);
  return {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA),
          _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA)};
}

// Four words a lane.
struct Words {
  __m256i word[4];
};

// The four words of eight neighbouring blocks; the first has the counter (first_block, row, 0, 0).
Words random_words(uint32_t first_block, uint32_t row, uint64_t key) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  Words words = {{_mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first_block)), lane),
                  _mm256_set1_epi32(static_cast<int>(row)), _mm256_setzero_si256(),
                  _mm256_setzero_si256()}};
  auto& counter = words.word;
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const Products first = multiply(counter[0], 0xD2511F53);
    const Products second = multiply(counter[2], 0xCD9E8D57);
    const __m256i round_key0 = _mm256_set1_epi32(static_cast<int>(key0));
    const __m256i round_key1 = _mm256_set1_epi32(static_cast<int>(key1));
    counter[0] = _mm256_xor_si256(_mm256_xor_si256(second.high, counter[1]), round_key0);
    counter[1] = second.low;
    counter[2] = _mm256_xor_si256(_mm256_xor_si256(first.high, counter[3]), round_key1);
    counter[3] = first.low;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return words;
}

// Bit i: whether column i of the 32 from `column` on is kept.
uint32_t kept_columns(int64_t column, int64_t row, uint64_t key, uint32_t threshold) {
  const auto words =
      random_words(static_cast<uint32_t>(column / 4), static_cast<uint32_t>(row), key);
  const __m256i limit = _mm256_set1_epi32(static_cast<int>(threshold));
  uint32_t kept = 0;
  for (size_t i = 0; i < 4; ++i) {
    // Unsigned word >= limit.
    const __m256i is_kept =
        _mm256_cmpeq_epi32(_mm256_max_epu32(words.word[i], limit), words.word[i]);
    const auto lanes = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(is_kept)));
    kept |= _pdep_u32(lanes, 0x11111111U << i);
  }
  return kept;
}

// All bits where the lane's bit of `byte` is 1.
__m256 lane_mask(uint8_t byte) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i own = _mm256_and_si256(_mm256_set1_epi32(byte), bit);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(own, bit));
}

// Calls eight(index, mask) for every eight places of a row, one(index, is_kept) for each of the
// rest; the index counts in a contiguous [rows, columns].
template <class Eight, class One>
void for_each_place(int64_t rows, int64_t columns, const uint8_t* bits, const Eight& eight,
                    const One& one) {
  const int64_t stride = (columns + 7) / 8;
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* row_bits = bits + row * stride;
      int64_t column = 0;
      for (; column + 8 <= columns; column += 8) {
        eight(row * columns + column, lane_mask(row_bits[column / 8]));
      }
      for (; column < columns; ++column) {
        one(row * columns + column, ((row_bits[column / 8] >> (column % 8)) & 1) != 0);
      }
    }
  });
}

// Writes factor * x where `bits` keep, else 0, to `result`, or adds it there; all are contiguous.
template <bool adds>
void scale_kept(const Tensor& x, const Tensor& bits, double factor, Tensor& result) {
  const float* from = x.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  const auto scale = static_cast<float>(factor);
  const __m256 scales = _mm256_set1_ps(scale);
  for_each_place(
      x.size(0), x.size(1), bits.const_data_ptr<uint8_t>(),
      [&](int64_t i, __m256 mask) {
        const __m256 scaled = _mm256_and_ps(_mm256_mul_ps(_mm256_loadu_ps(from + i), scales), mask);
        _mm256_storeu_ps(to + i, adds ? _mm256_add_ps(_mm256_loadu_ps(to + i), scaled) : scaled);
      },
      [&](int64_t i, bool is_kept) {
        const float scaled = is_kept ? from[i] * scale : 0.0F;
        to[i] = adds ? to[i] + scaled : scaled;
      });
}

bool is_fast(const Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// The factor where `bits` keep, else 0, as a tensor like x.
Tensor mask_like(const Tensor& x, const Tensor& bits, double factor) {
  return keep(at::ones(x.sizes(), at::kFloat), bits, factor).to(x.options());
}

}  // namespace

Tensor dropout_bits(int64_t rows, int64_t columns, double p, uint64_t key,
                    const RowNumbers& numbers) {
  CPX_CHECK(numbers == nullptr || std::ssize(*numbers) >= rows,
            "[dropout] got {} row numbers, expected one for each of {} rows.",
            numbers == nullptr ? 0 : numbers->size(), rows);
  const int64_t stride = (columns + 7) / 8;
  auto bits = at::empty({rows, stride}, at::kByte);
  auto* bytes = bits.mutable_data_ptr<uint8_t>();
  const auto threshold = static_cast<uint32_t>(p * 0x1.0p32);
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t number = numbers == nullptr ? row : (*numbers)[static_cast<size_t>(row)];
      for (int64_t column = 0; column < columns; column += kColumnsPerCall) {
        const uint32_t kept = kept_columns(column, number, key, threshold);
        const int64_t num_bytes = std::min<int64_t>(4, stride - column / 8);
        for (int64_t i = 0; i < num_bytes; ++i) {
          bytes[row * stride + column / 8 + i] = static_cast<uint8_t>(kept >> (8 * i));
        }
      }
    }
  });
  return bits;
}

Tensor dropout_bits_for(const Tensor& x, double p, uint64_t key, const RowNumbers& numbers) {
  if (has_row_kernels(x) && numbers == nullptr) return dropout_bits_rows(x, p, key);
  return dropout_bits(x.size(0), x.size(1), p, key, numbers);
}

Tensor keep(const Tensor& x, const Tensor& bits, double factor) {
  if (has_row_kernels(x)) return keep_rows(x, bits, factor);
  if (!is_fast(x)) return x * mask_like(x, bits, factor);
  auto result = at::empty_like(x, at::MemoryFormat::Contiguous);
  scale_kept</*adds=*/false>(x.contiguous(), bits, factor, result);
  return result;
}

void add_kept(Tensor& sum, const Tensor& x, const Tensor& bits, double factor) {
  if (has_row_kernels(x) && sum.scalar_type() == x.scalar_type() && sum.is_contiguous()) {
    return add_kept_rows(sum, x, bits, factor);
  }
  if (!is_fast(x) || !is_fast(sum) || !sum.is_contiguous()) {
    sum.addcmul_(x, mask_like(x, bits, factor));
    return;
  }
  scale_kept</*adds=*/true>(x.contiguous(), bits, factor, sum);
}

}  // namespace cpx::kernels
