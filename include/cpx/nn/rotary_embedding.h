// SPDX-License-Identifier: Apache-2.0
// Angles of the rotary position embedding, with the scalings that Llama files use.
// Legend: T tokens, E head size.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <torch/types.h>

namespace cpx::nn {

enum class RotaryScaling { kNone, kLinear, kLlama3 };

struct RotaryOptions {
  int64_t head_dim = 0;
  double theta = 10000.0;
  RotaryScaling scaling = RotaryScaling::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position = 8192;
  /// Divisors of the frequencies, [E/2], from a GGUF's rope_freqs.weight; may be empty.
  std::vector<float> frequency_divisors = {};
};

/// Radians a position, float32 [E/2].
/// Follows transformers 5.23, modeling_rope_utils.py (default, linear, llama3).
torch::Tensor inverse_frequencies(const RotaryOptions& options);

/// Cosine and sine of position * frequency for tokens at `positions` [T], on the device of
/// `frequencies` [E/2]: two float32 tensors [T, E/2].
std::pair<torch::Tensor, torch::Tensor> rotary_tables(const torch::Tensor& frequencies,
                                                      const std::vector<int64_t>& positions);

}  // namespace cpx::nn
