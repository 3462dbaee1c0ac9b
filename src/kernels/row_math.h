// SPDX-License-Identifier: Apache-2.0
// The inner loops of the row-wise operators, over plain arrays of float32, each with a body for
// AVX2 and one for AVX-512. No array may overlap another. kBfloat16 is for numbers that come from
// bfloat16 and go there: what transformers rounds between its operators is rounded here too.
// Legend: D size of a row, E head size.
#pragma once

#include <cstdint>

#include <c10/util/BFloat16.h>

namespace cpx::kernels {

/// How results between two operators are rounded.
enum class Rounding { kNone, kBfloat16 };

/// output = x / sqrt(mean(x^2) + epsilon) * weight; returns 1 / sqrt(mean(x^2) + epsilon).
float normalize_row(const float* x, const float* weight, int64_t size, float epsilon,
                    Rounding rounding, float* output);

/// The gradient of x, given normalize_row()'s result: with n = x * inverse and g = dy * weight,
/// inverse * (g - n * mean(g * n)).
void normalize_row_backward(const float* grad_output, const float* x, const float* weight,
                            float inverse, int64_t size, Rounding rounding, float* grad_x);

/// Turns the pairs (x_i, x_{half + i}) of one head by the angles of `cosine` and `sine` [half];
/// `direction` is 1, or -1 for the inverse.
void rotate_head(const float* x, const float* cosine, const float* sine, float direction,
                 int64_t half, Rounding rounding, float* turned);

/// output = silu(gate) * up.
void swiglu_row(const float* gate, const float* up, int64_t size, Rounding rounding, float* output);

/// The gradients of gate and up. With s = sigmoid(gate): d silu / d gate = s * (1 + gate * (1 -
/// s)).
void swiglu_row_backward(const float* grad_output, const float* gate, const float* up, int64_t size,
                         Rounding rounding, float* grad_gate, float* grad_up);

/// The numbers in float32.
void widen(const c10::BFloat16* numbers, int64_t size, float* wide);

/// Rounds to the nearest, ties to even; a NaN stays one.
void narrow(const float* numbers, int64_t size, c10::BFloat16* narrowed);

}  // namespace cpx::kernels
