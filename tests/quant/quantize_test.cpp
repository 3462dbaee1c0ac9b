// SPDX-License-Identifier: Apache-2.0
// Blocks as the gguf package makes them, bit for bit: scripts/fixtures/make_quantized.py.
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/formats/safetensors.h"
#include "cpx/quant/gguf_blocks.h"
#include "tests/support/errors.h"

namespace cpx::quant {
namespace quantize_test {

using testing_support::message_of;

using tensor::StorageType;
using torch::Tensor;

constexpr std::pair<const char*, StorageType> kTypes[] = {
    {"q8_0", StorageType::kQ8_0}, {"q4_0", StorageType::kQ4_0}, {"q4_1", StorageType::kQ4_1}};

std::span<const std::byte> bytes_of(const Tensor& blocks) {
  return {static_cast<const std::byte*>(blocks.const_data_ptr()), blocks.nbytes()};
}

TEST(Quantize, BlocksEqualTheReferenceBitForBit) {
  const auto fixture = formats::SafetensorsFile::open(
      CPX_SOURCE_DIR "/tests/fixtures/gguf/expected/quantized.safetensors");
  for (const auto& [name, type] : kTypes) {
    const auto from_float = quantize(type, fixture->tensor("numbers"));
    const auto expected = fixture->tensor(name);
    ASSERT_EQ(from_float.sizes(), expected.sizes()) << name;
    for (int64_t row = 0; row < expected.size(0); ++row) {
      EXPECT_TRUE(at::equal(from_float[row], expected[row])) << name << ", row " << row;
    }
    EXPECT_TRUE(at::equal(quantize(type, fixture->tensor("bfloat16")),
                          fixture->tensor(std::string("bfloat16.") + name)))
        << name;
  }
}

TEST(Quantize, HalvesAreThoseNumbers) {
  const auto halves = at::linspace(-3.0, 5.0, 128).view({2, 64}).to(at::kHalf);
  for (const auto& [name, type] : kTypes) {
    EXPECT_TRUE(at::equal(quantize(type, halves), quantize(type, halves.to(at::kFloat)))) << name;
  }
}

// As through float32, for which gguf_blocks_test.cpp has the reference.
TEST(Quantize, AQuantisedWeightIsTakenToAnotherType) {
  const auto codes =
      at::randint(0, 100, {3, 2 * 210}, at::detail::createCPUGenerator(5)).to(at::kByte);
  const auto numbers = dequantize(StorageType::kQ6_K, bytes_of(codes), {3, 512}, at::kFloat);
  EXPECT_TRUE(at::equal(quantize(StorageType::kQ8_0, StorageType::kQ6_K, bytes_of(codes), {3, 512}),
                        quantize(StorageType::kQ8_0, numbers)));
}

// A block's codes and scale are found again in what they stand for.
TEST(Quantize, QuantisedNumbersKeepTheirBlocks) {
  const auto numbers = at::randn({16, 96}, at::detail::createCPUGenerator(3));
  for (const auto& [name, type] : kTypes) {
    const auto blocks = quantize(type, numbers);
    const auto again = dequantize(type, bytes_of(blocks), {16, 96}, at::kFloat);
    EXPECT_TRUE(at::equal(quantize(type, again), blocks)) << name;
  }
}

// Half a step of each type: max / 127, max / 8 (and a whole step at the far end), range / 15.
TEST(Quantize, ErrorsAreAtMostAStep) {
  const auto numbers = at::randn({64, 32}, at::detail::createCPUGenerator(4));
  const auto largest = numbers.abs().amax(1, /*keepdim=*/true);
  const auto range = numbers.amax(1, true) - numbers.amin(1, true);
  const std::vector<Tensor> steps = {largest / 254.0, largest / 8.0, range / 30.0};
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    const auto& [name, type] = kTypes[i];
    const auto blocks = quantize(type, numbers);
    const auto read = dequantize(type, bytes_of(blocks), {64, 32}, at::kFloat);
    // Scales and minima are rounded to 11 bits: 1 + 2 parts in 2048.
    EXPECT_TRUE(((read - numbers).abs() <= steps[i] + largest / 680.0).all().item<bool>()) << name;
  }
}

TEST(Quantize, NumbersNextToNothingAreZeros) {
  for (const float value : {1e-44F, -1e-44F, 0.0F}) {
    for (const auto& [name, type] : kTypes) {
      const auto blocks = quantize(type, at::full({1, 32}, value));
      const auto read = dequantize(type, bytes_of(blocks), {1, 32}, at::kFloat);
      EXPECT_EQ(read.abs().max().item<float>(), 0.0F) << name << " " << value;
    }
  }
}

TEST(QuantizeErrors, SayWhatDoesNotFit) {
  std::vector<float> values(32);
  std::vector<std::byte> blocks(33);
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { quantize_blocks(StorageType::kQ8_0, values, blocks); }),
            "[quantize_blocks] 33 bytes of Q8_0 for 32 numbers, expected 34 bytes for every 32.");
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { quantize_blocks(StorageType::kQ6_K, values, blocks); }),
            "[quantize_blocks] got type Q6_K, expected Q8_0, Q4_0 or Q4_1.");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              quantize(StorageType::kQ4_0, at::zeros({2, 48}));
            }),
            "[quantize] got [2, 48] of F32 for Q4_0, expected [O, a multiple of 32].");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              quantize(StorageType::kQ4_0, StorageType::kF16, blocks, {1, 32});
            }),
            "[quantize] got 33 bytes of F16 for [1, 32], expected 64.");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              quantize(StorageType::kQ4_0, at::zeros({2, 32}, at::kDouble));
            }),
            "[quantize] got float64, expected float32, bfloat16 or float16.");
}

}  // namespace quantize_test
}  // namespace cpx::quant
