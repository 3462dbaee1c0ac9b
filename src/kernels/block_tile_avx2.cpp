// SPDX-License-Identifier: Apache-2.0
#include "block_tile_body.h"

namespace cpx::kernels {

namespace {

// Eight rows of the weight.
struct Avx2 {
  using Ints = __m256i;
  using Floats = __m256;
  static constexpr int64_t kOutputs = 8;

  static Ints broadcast(int32_t value) { return _mm256_set1_epi32(value); }
  static Floats broadcast(float value) { return _mm256_set1_ps(value); }
  static Floats load(const float* numbers) { return _mm256_load_ps(numbers); }
  static void store(float* numbers, Floats values) { _mm256_store_ps(numbers, values); }
  static Floats to_floats(Ints values) { return _mm256_cvtepi32_ps(values); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

  // 16 bytes of each row, four a register.
  static void columns(const uint8_t* const* rows, int64_t offset, Ints* out) {
    Ints whole[4];  // rows i and i + 4
    for (int i = 0; i < 4; ++i) {
      whole[i] = _mm256_inserti128_si256(
          _mm256_castsi128_si256(
              _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + offset))),
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i + 4] + offset)), 1);
    }
    const Ints low01 = _mm256_unpacklo_epi32(whole[0], whole[1]);
    const Ints low23 = _mm256_unpacklo_epi32(whole[2], whole[3]);
    const Ints high01 = _mm256_unpackhi_epi32(whole[0], whole[1]);
    const Ints high23 = _mm256_unpackhi_epi32(whole[2], whole[3]);
    out[0] = _mm256_unpacklo_epi64(low01, low23);
    out[1] = _mm256_unpackhi_epi64(low01, low23);
    out[2] = _mm256_unpacklo_epi64(high01, high23);
    out[3] = _mm256_unpackhi_epi64(high01, high23);
  }

  // A float16 of each row.
  static Floats halves(const uint8_t* const* rows, int64_t offset) {
    const auto half = [&](int row) { return number_at<int16_t>(rows[row] + offset); };
    return _mm256_cvtph_ps(
        _mm_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5), half(6), half(7)));
  }

  // Two float16 of each row.
  static void pairs_of_halves(const uint8_t* const* rows, int64_t offset, Floats& first,
                              Floats& second) {
    const auto pair = [&](int row) { return number_at<int32_t>(rows[row] + offset); };
    const Ints pairs =
        _mm256_setr_epi32(pair(0), pair(1), pair(2), pair(3), pair(4), pair(5), pair(6), pair(7));
    // Packing works within the two halves of a register: the middle quarters change places.
    const Ints sorted = _mm256_permute4x64_epi64(
        _mm256_packus_epi32(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff)),
                            _mm256_srli_epi32(pairs, 16)),
        _MM_SHUFFLE(3, 1, 2, 0));
    first = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
    second = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
  }

  static Ints low_codes(Ints pairs) { return _mm256_and_si256(pairs, _mm256_set1_epi8(15)); }
  static Ints high_codes(Ints pairs) { return low_codes(_mm256_srli_epi16(pairs, 4)); }
  static Ints from_signed(Ints codes) { return codes; }

  // Four codes of x, for every row of the weight.
  static Ints four_of(const InputBlock& x, int k) {
    return broadcast(number_at<int32_t>(reinterpret_cast<const uint8_t*>(x.codes) + 4 * k));
  }

  // Codes of four bits: 16 products of at most 15 * 127 fit 16 bits, so that lanes are widened
  // once.
  static Ints products(const Ints* codes, const InputBlock& x, Ints start) {
    Ints low = _mm256_maddubs_epi16(codes[0], four_of(x, 0));
    Ints high = _mm256_maddubs_epi16(codes[4], four_of(x, 4));
#pragma GCC unroll 4
    for (int k = 1; k < 4; ++k) {
      low = _mm256_add_epi16(low, _mm256_maddubs_epi16(codes[k], four_of(x, k)));
      high = _mm256_add_epi16(high, _mm256_maddubs_epi16(codes[k + 4], four_of(x, k + 4)));
    }
    const Ints sums = _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1));
    return _mm256_add_epi32(start, sums);
  }

  // Two products of at most 128 * 127 fit 16 bits; the weight gives its sign to x.
  static Ints signed_products(const Ints* codes, const InputBlock& x) {
    Ints sums = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
      const Ints twos = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[k]),
                                             _mm256_sign_epi8(four_of(x, k), codes[k]));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
    }
    return sums;
  }
};

}  // namespace

void multiply_blocks_avx2(const BlockProduct& own, int64_t begin, int64_t end) {
  multiply_any<Avx2>(own, begin, end);
}

}  // namespace cpx::kernels
