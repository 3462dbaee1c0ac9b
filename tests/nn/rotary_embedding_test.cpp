// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/rotary_embedding.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/nn/attention_source.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace cpx::nn {
namespace rotary_embedding_test {

using testing_support::is_close;
using testing_support::message_of;

TEST(InverseFrequencies, FallGeometricallyFromOne) {
  // theta^(-2i/E) for theta 10^4, E 8: 1, 0.1, 0.01, 0.001.
  EXPECT_TRUE(is_close(inverse_frequencies({.head_dim = 8, .theta = 1e4}),
                       at::tensor({1.0F, 0.1F, 0.01F, 0.001F})));
}

TEST(InverseFrequencies, LinearScalingDividesAll) {
  const auto plain = inverse_frequencies({.head_dim = 8});
  const auto scaled =
      inverse_frequencies({.head_dim = 8, .scaling = RotaryScaling::kLinear, .factor = 4.0});
  EXPECT_TRUE(is_close(scaled, plain / 4.0));
}

TEST(InverseFrequencies, Llama3KeepsHighDividesLowAndBlendsBetween) {
  // With 64 positions, low 1 and high 4: wavelengths below 16 stay, above 64 are divided by 8.
  const RotaryOptions options{.head_dim = 24,
                              .theta = 1e4,
                              .scaling = RotaryScaling::kLlama3,
                              .factor = 8.0,
                              .low_freq_factor = 1.0,
                              .high_freq_factor = 4.0,
                              .original_max_position = 64};
  const auto scaled = inverse_frequencies(options);
  int num_blended = 0;
  for (int64_t i = 0; i < 12; ++i) {
    const double frequency = std::pow(1e4, -static_cast<double>(i) / 12.0);
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    double expected = frequency;
    if (wavelength > 64.0) {
      expected = frequency / 8.0;
    } else if (wavelength > 16.0) {
      const double smooth = (64.0 / wavelength - 1.0) / 3.0;
      expected = (1.0 - smooth) * frequency / 8.0 + smooth * frequency;
      ++num_blended;
    }
    EXPECT_NEAR(scaled[i].item<double>(), expected, 1e-5 * expected) << i;
  }
  EXPECT_EQ(num_blended, 2);
}

TEST(InverseFrequencies, DivisorsOfAFileDivideOneByOne) {
  const auto scaled =
      inverse_frequencies({.head_dim = 4, .theta = 1e4, .frequency_divisors = {1.0F, 8.0F}});
  EXPECT_TRUE(is_close(scaled, at::tensor({1.0F, 0.01F / 8.0F})));
}

TEST(RotaryTables, PositionsStartAgainInEveryText) {
  const auto frequencies = at::tensor({1.0F, 0.5F});
  const auto [cosine, sine] = rotary_tables(frequencies, PackedTexts({0, 3, 3, 5}).positions());
  const float positions[] = {0, 1, 2, 0, 1};
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < 2; ++i) {
      const double angle = positions[t] * (i == 0 ? 1.0 : 0.5);
      EXPECT_NEAR(cosine[t][i].item<double>(), std::cos(angle), 1e-6);
      EXPECT_NEAR(sine[t][i].item<double>(), std::sin(angle), 1e-6);
    }
  }
}

TEST(RotaryErrors, NameTheValues) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { inverse_frequencies({.head_dim = 5}); }),
            "[rotary] the head size must be even: got 5.");
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { inverse_frequencies({.head_dim = 8, .frequency_divisors = {1.0F}}); }),
            "[rotary] got 1 frequency divisors, expected 4 (head size / 2).");
}

}  // namespace rotary_embedding_test
}  // namespace cpx::nn
