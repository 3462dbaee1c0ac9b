// SPDX-License-Identifier: Apache-2.0
#include "row_math.h"

#include <bit>
#include <cmath>

#include "fast_exp.h"
#include "multiversion.h"

namespace cpx::kernels {

namespace {

inline float sigmoid(float x) { return 1.0F / (1.0F + fast_exp(-x)); }

// The bits of the nearest bfloat16, ties to even; a NaN stays one.
inline uint32_t bfloat16_bits(float number) {
  const auto word = std::bit_cast<uint32_t>(number);
  const uint32_t rounded = (word + 0x7fffU + ((word >> 16) & 1U)) >> 16;
  const bool is_nan = (word & 0x7fffffffU) > 0x7f800000U;
  return is_nan ? 0x7fc0U : rounded;
}

template <Rounding rounding>
inline float rounded(float number) {
  if constexpr (rounding == Rounding::kNone) return number;
  return std::bit_cast<float>(bfloat16_bits(number) << 16);
}

// The bodies, which become part of each version of the functions below.
#define CPX_BODY               \
  template <Rounding rounding> \
  [[gnu::always_inline]] inline

CPX_BODY float normalize_body(const float* x, const float* weight, int64_t size, float epsilon,
                              float* output) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
  const float inverse = 1.0F / std::sqrt(sum / static_cast<float>(size) + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) output[i] = rounded<rounding>(x[i] * inverse) * weight[i];
  return inverse;
}

CPX_BODY void normalize_backward_body(const float* grad_output, const float* x, const float* weight,
                                      float inverse, int64_t size, float* grad_x) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += rounded<rounding>(grad_output[i] * weight[i]) * x[i];
  const float projection = sum * inverse * inverse / static_cast<float>(size);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    grad_x[i] = inverse * (rounded<rounding>(grad_output[i] * weight[i]) - x[i] * projection);
  }
}

CPX_BODY void rotate_body(const float* x, const float* cosine, const float* sine, float direction,
                          int64_t half, float* turned) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float c = rounded<rounding>(cosine[i]);
    const float s = rounded<rounding>(direction * sine[i]);
    const float first = rounded<rounding>(x[i] * c);
    const float second = rounded<rounding>(x[half + i] * c);
    turned[i] = first - rounded<rounding>(x[half + i] * s);
    turned[half + i] = second + rounded<rounding>(x[i] * s);
  }
}

CPX_BODY void swiglu_body(const float* gate, const float* up, int64_t size, float* output) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    output[i] = rounded<rounding>(gate[i] * sigmoid(gate[i])) * up[i];
  }
}

CPX_BODY void swiglu_backward_body(const float* grad_output, const float* gate, const float* up,
                                   int64_t size, float* grad_gate, float* grad_up) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float s = sigmoid(gate[i]);
    grad_gate[i] = rounded<rounding>(grad_output[i] * up[i]) * s * (1.0F + gate[i] * (1.0F - s));
    grad_up[i] = grad_output[i] * rounded<rounding>(gate[i] * s);
  }
}

#undef CPX_BODY

}  // namespace

CPX_MULTIVERSION float normalize_row(const float* x, const float* weight, int64_t size,
                                     float epsilon, Rounding rounding, float* output) {
  return rounding == Rounding::kNone
             ? normalize_body<Rounding::kNone>(x, weight, size, epsilon, output)
             : normalize_body<Rounding::kBfloat16>(x, weight, size, epsilon, output);
}

CPX_MULTIVERSION void normalize_row_backward(const float* grad_output, const float* x,
                                             const float* weight, float inverse, int64_t size,
                                             Rounding rounding, float* grad_x) {
  if (rounding == Rounding::kNone) {
    normalize_backward_body<Rounding::kNone>(grad_output, x, weight, inverse, size, grad_x);
  } else {
    normalize_backward_body<Rounding::kBfloat16>(grad_output, x, weight, inverse, size, grad_x);
  }
}

CPX_MULTIVERSION void rotate_head(const float* x, const float* cosine, const float* sine,
                                  float direction, int64_t half, Rounding rounding, float* turned) {
  if (rounding == Rounding::kNone) {
    rotate_body<Rounding::kNone>(x, cosine, sine, direction, half, turned);
  } else {
    rotate_body<Rounding::kBfloat16>(x, cosine, sine, direction, half, turned);
  }
}

CPX_MULTIVERSION void swiglu_row(const float* gate, const float* up, int64_t size,
                                 Rounding rounding, float* output) {
  if (rounding == Rounding::kNone) {
    swiglu_body<Rounding::kNone>(gate, up, size, output);
  } else {
    swiglu_body<Rounding::kBfloat16>(gate, up, size, output);
  }
}

CPX_MULTIVERSION void swiglu_row_backward(const float* grad_output, const float* gate,
                                          const float* up, int64_t size, Rounding rounding,
                                          float* grad_gate, float* grad_up) {
  if (rounding == Rounding::kNone) {
    swiglu_backward_body<Rounding::kNone>(grad_output, gate, up, size, grad_gate, grad_up);
  } else {
    swiglu_backward_body<Rounding::kBfloat16>(grad_output, gate, up, size, grad_gate, grad_up);
  }
}

CPX_MULTIVERSION void widen(const c10::BFloat16* numbers, int64_t size, float* wide) {
  const auto* bits = reinterpret_cast<const uint16_t*>(numbers);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    wide[i] = std::bit_cast<float>(static_cast<uint32_t>(bits[i]) << 16);
  }
}

CPX_MULTIVERSION void narrow(const float* numbers, int64_t size, c10::BFloat16* narrowed) {
  auto* bits = reinterpret_cast<uint16_t*>(narrowed);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) bits[i] = static_cast<uint16_t>(bfloat16_bits(numbers[i]));
}

}  // namespace cpx::kernels
