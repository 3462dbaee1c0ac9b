// SPDX-License-Identifier: Apache-2.0
// float32 to the narrower types, to nearest even, as LibTorch does it.
#pragma once

#include <span>

#include <torch/types.h>

namespace cpx::quant {

/// Writes `values` to `out`, which has room for as many.
void convert(std::span<const float> values, float* out);
void convert(std::span<const float> values, c10::BFloat16* out);
void convert(std::span<const float> values, c10::Half* out);

/// Rounds `values` in place to numbers of `dtype` (float16 or bfloat16).
void round_to(torch::Dtype dtype, std::span<float> values);

}  // namespace cpx::quant
