// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/rotary_embedding.h"

#include <numbers>

#include <ATen/ATen.h>

#include "cpx/core/error.h"

namespace cpx::nn {

namespace {

// Keeps high frequencies, divides low ones by the factor, blends between (Llama 3.1).
torch::Tensor scale_llama3(const torch::Tensor& frequencies, const RotaryOptions& options) {
  const auto context = static_cast<double>(options.original_max_position);
  const double low_wavelength = context / options.low_freq_factor;
  const double high_wavelength = context / options.high_freq_factor;
  const auto wavelength = 2.0 * std::numbers::pi / frequencies;
  auto scaled = at::where(wavelength > low_wavelength, frequencies / options.factor, frequencies);
  const auto smooth = (context / wavelength - options.low_freq_factor) /
                      (options.high_freq_factor - options.low_freq_factor);
  const auto blended = (1.0 - smooth) * scaled / options.factor + smooth * scaled;
  const auto is_medium =
      (wavelength < high_wavelength).logical_not() * (wavelength > low_wavelength).logical_not();
  return at::where(is_medium, blended, scaled);
}

}  // namespace

torch::Tensor inverse_frequencies(const RotaryOptions& options) {
  CPX_CHECK(options.head_dim > 0 && options.head_dim % 2 == 0,
            "[rotary] the head size must be even: got {}.", options.head_dim);
  const auto exponents = at::arange(0, options.head_dim, 2, at::kLong).to(at::kFloat) /
                         static_cast<double>(options.head_dim);
  auto frequencies = 1.0 / at::pow(options.theta, exponents);
  if (options.scaling == RotaryScaling::kLinear) frequencies = frequencies / options.factor;
  if (options.scaling == RotaryScaling::kLlama3) frequencies = scale_llama3(frequencies, options);
  if (!options.frequency_divisors.empty()) {
    CPX_CHECK(static_cast<int64_t>(options.frequency_divisors.size()) == frequencies.size(0),
              "[rotary] got {} frequency divisors, expected {} (head size / 2).",
              options.frequency_divisors.size(), frequencies.size(0));
    frequencies = frequencies / at::tensor(options.frequency_divisors, at::kFloat);
  }
  return frequencies;
}

std::pair<torch::Tensor, torch::Tensor> rotary_tables(const torch::Tensor& frequencies,
                                                      const std::vector<int64_t>& positions) {
  const auto values = at::tensor(positions, at::kLong).to(at::kFloat).to(frequencies.device());
  const auto angles = at::outer(values, frequencies);
  return {angles.cos(), angles.sin()};
}

}  // namespace cpx::nn
