// SPDX-License-Identifier: Apache-2.0
// exp in float32 as plain arithmetic, which the compiler turns into vector code.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace cpx::kernels {

/// e^x within 2 units in the last place for x in [-87, 88]; 0 below, e^88 above; NaN for NaN.
/// With x = n ln 2 + r and |r| <= ln 2 / 2: 2^n times e^r's Taylor polynomial of degree 7, whose
/// rest is below 6e-9.
inline float fast_exp(float x) {
  constexpr float kLowest = -87.0F;
  constexpr float kHighest = 88.0F;
  constexpr float kLog2E = 1.44269504088896341F;
  // ln 2 in two parts: the first has 12 bits, so that n times it is exact.
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  // Adding it rounds to an integer, which then stands in the lowest bits.
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23

  const bool is_zero = x < kLowest;
  x = is_zero ? kLowest : x;
  x = x > kHighest ? kHighest : x;
  const float shifted = std::fma(x, kLog2E, kRound);
  const float n = shifted - kRound;
  const float r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  float value = 1.0F / 5040.0F;
  value = std::fma(value, r, 1.0F / 720.0F);
  value = std::fma(value, r, 1.0F / 120.0F);
  value = std::fma(value, r, 1.0F / 24.0F);
  value = std::fma(value, r, 1.0F / 6.0F);
  value = std::fma(value, r, 0.5F);
  value = std::fma(value, r, 1.0F);
  value = std::fma(value, r, 1.0F);
  // n into the exponent. A NaN's payload may change, but it stays one.
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) << 23;
  const float scaled = std::bit_cast<float>(std::bit_cast<uint32_t>(value) + exponent);
  const float result = is_zero ? 0.0F : scaled;
  return x != x ? x : result;
}

}  // namespace cpx::kernels
