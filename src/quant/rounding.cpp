// SPDX-License-Identifier: Apache-2.0
#include "rounding.h"

#include <cstring>
#include <immintrin.h>

namespace cpx::quant {

namespace {

constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// Eight float32 rounded to bfloat16 (nearest even), each in the lower half of 32 bits.
__m256i bfloat16_bits(const float* values) {
  const __m256 loaded = _mm256_loadu_ps(values);
  const __m256i bits = _mm256_castps_si256(loaded);
  const __m256i is_odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i half = _mm256_add_epi32(is_odd, _mm256_set1_epi32(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  const __m256 is_nan = _mm256_cmp_ps(loaded, loaded, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), _mm256_castps_si256(is_nan));
}

void round_to_half(std::span<float> values) {
  float* at = values.data();
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    _mm256_storeu_ps(at + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(at + i), kToNearest)));
  }
  for (; i < values.size(); ++i) at[i] = _cvtsh_ss(_cvtss_sh(at[i], kToNearest));
}

}  // namespace

void convert(std::span<const float> values, float* out) {
  std::memcpy(out, values.data(), values.size_bytes());
}

void convert(std::span<const float> values, c10::BFloat16* out) {
  const float* in = values.data();
  size_t i = 0;
  for (; i + 16 <= values.size(); i += 16) {
    // Packing works within the two halves of a register: the middle quarters change places.
    const __m256i packed = _mm256_packus_epi32(bfloat16_bits(in + i), bfloat16_bits(in + i + 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0)));
  }
  for (; i < values.size(); ++i) out[i] = c10::BFloat16(in[i]);
}

void convert(std::span<const float> values, c10::Half* out) {
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    const auto packed = _mm256_cvtps_ph(_mm256_loadu_ps(values.data() + i), kToNearest);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), packed);
  }
  for (; i < values.size(); ++i) out[i] = c10::Half(values[i]);
}

void round_to(torch::Dtype dtype, std::span<float> values) {
  if (dtype == torch::kFloat16) return round_to_half(values);
  for (float& value : values) value = c10::BFloat16(value);
}

}  // namespace cpx::quant
