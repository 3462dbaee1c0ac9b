// SPDX-License-Identifier: Apache-2.0
// Compiled for AVX-512 with VNNI (CMakeLists.txt); called only where the processor has it.
#include "block_tile_body.h"

namespace cpx::kernels {

namespace {

// Sixteen rows of the weight.
struct Avx512 {
  using Ints = __m512i;
  using Floats = __m512;
  static constexpr int64_t kOutputs = 16;

  static Ints broadcast(int32_t value) { return _mm512_set1_epi32(value); }
  static Floats broadcast(float value) { return _mm512_set1_ps(value); }
  static Floats load(const float* numbers) { return _mm512_load_ps(numbers); }
  static void store(float* numbers, Floats values) { _mm512_store_ps(numbers, values); }
  static Floats to_floats(Ints values) { return _mm512_cvtepi32_ps(values); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

  // 16 bytes of each row, four a register.
  static void columns(const uint8_t* const* rows, int64_t offset, Ints* out) {
    const auto quarter = [&](int row) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + offset));
    };
    Ints whole[4];  // rows i, i + 4, i + 8 and i + 12
    for (int i = 0; i < 4; ++i) {
      whole[i] = _mm512_inserti32x4(_mm512_castsi128_si512(quarter(i)), quarter(i + 4), 1);
      whole[i] = _mm512_inserti32x4(whole[i], quarter(i + 8), 2);
      whole[i] = _mm512_inserti32x4(whole[i], quarter(i + 12), 3);
    }
    const Ints low01 = _mm512_unpacklo_epi32(whole[0], whole[1]);
    const Ints low23 = _mm512_unpacklo_epi32(whole[2], whole[3]);
    const Ints high01 = _mm512_unpackhi_epi32(whole[0], whole[1]);
    const Ints high23 = _mm512_unpackhi_epi32(whole[2], whole[3]);
    out[0] = _mm512_unpacklo_epi64(low01, low23);
    out[1] = _mm512_unpackhi_epi64(low01, low23);
    out[2] = _mm512_unpacklo_epi64(high01, high23);
    out[3] = _mm512_unpackhi_epi64(high01, high23);
  }

  // A float16 of each row.
  static Floats halves(const uint8_t* const* rows, int64_t offset) {
    const auto half = [&](int row) { return number_at<int16_t>(rows[row] + offset); };
    return _mm512_cvtph_ps(_mm256_setr_epi16(half(0), half(1), half(2), half(3), half(4), half(5),
                                             half(6), half(7), half(8), half(9), half(10), half(11),
                                             half(12), half(13), half(14), half(15)));
  }

  // Two float16 of each row.
  static void pairs_of_halves(const uint8_t* const* rows, int64_t offset, Floats& first,
                              Floats& second) {
    const auto pair = [&](int row) { return number_at<int32_t>(rows[row] + offset); };
    const Ints pairs = _mm512_setr_epi32(pair(0), pair(1), pair(2), pair(3), pair(4), pair(5),
                                         pair(6), pair(7), pair(8), pair(9), pair(10), pair(11),
                                         pair(12), pair(13), pair(14), pair(15));
    first = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
    second = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
  }

  static Ints low_codes(Ints pairs) { return _mm512_and_si512(pairs, _mm512_set1_epi8(15)); }
  static Ints high_codes(Ints pairs) { return low_codes(_mm512_srli_epi16(pairs, 4)); }
  // Raised by 128.
  static Ints from_signed(Ints codes) {
    return _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
  }

  // Unsigned codes by x's signed ones.
  static Ints products(const Ints* codes, const InputBlock& x, Ints start) {
    const auto four = [&](int k) {  // codes of x, for every row of the weight
      return broadcast(number_at<int32_t>(reinterpret_cast<const uint8_t*>(x.codes) + 4 * k));
    };
    Ints low = start;
    Ints high = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      low = _mm512_dpbusd_epi32(low, codes[k], four(k));
      high = _mm512_dpbusd_epi32(high, codes[k + 4], four(k + 4));
    }
    return _mm512_add_epi32(low, high);
  }

  static Ints signed_products(const Ints* codes, const InputBlock& x) {
    return products(codes, x, broadcast(x.minus_128_sums));
  }
};

}  // namespace

void multiply_blocks_avx512(const BlockProduct& own, int64_t begin, int64_t end) {
  multiply_any<Avx512>(own, begin, end);
}

}  // namespace cpx::kernels
