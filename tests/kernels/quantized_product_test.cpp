// SPDX-License-Identifier: Apache-2.0
// Legend: N rows, I inputs, O outputs, B blocks of 32.
#include "cpx/kernels/quantized_product.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/reference.h"
#include "src/kernels/block_tile.h"
#include "src/kernels/cpu_units.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::tensor {

void PrintTo(StorageType type, std::ostream* out) { *out << storage_layout(type).name; }

}  // namespace cpx::tensor

namespace cpx::kernels {
namespace quantized_product_test {

using tensor::StorageType;
using testing_support::is_close;
using testing_support::kNothingThrown;
using testing_support::message_of;
using testing_support::random_tensor;
using torch::Tensor;

// ---- The arithmetic in plain loops --------------------------------------------------------------

float half_at(const uint8_t* bytes) {
  c10::Half half;
  std::memcpy(&half, bytes, sizeof(half));
  return static_cast<float>(half);
}

// A block of a weight: numbers are (code - offset) * scale + minimum.
struct PlainBlock {
  int codes[32] = {};
  float scale = 0.0F;
  float minimum = 0.0F;
};

PlainBlock plain_block(StorageType type, const uint8_t* bytes) {
  PlainBlock block{.scale = half_at(bytes)};
  for (int i = 0; i < 32; ++i) {
    if (type == StorageType::kQ8_0) {
      block.codes[i] = static_cast<int8_t>(bytes[2 + i]);
    } else {
      const uint8_t pair = bytes[(type == StorageType::kQ4_1 ? 4 : 2) + i % 16];
      block.codes[i] = (i < 16 ? pair & 15 : pair >> 4) - (type == StorageType::kQ4_0 ? 8 : 0);
    }
  }
  if (type == StorageType::kQ4_1) block.minimum = half_at(bytes + 2);
  return block;
}

struct PlainInput {
  int codes[32] = {};
  float scale = 0.0F;
};

PlainInput plain_input(const float* numbers) {
  float largest = 0.0F;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(numbers[i]));
  PlainInput input{.scale = largest / 127.0F};
  for (int i = 0; i < 32; ++i) {
    input.codes[i] =
        largest == 0.0F ? 0 : static_cast<int>(std::nearbyint(numbers[i] * (127.0F / largest)));
  }
  return input;
}

float plain_product(const float* x, StorageType type, const uint8_t* row, int64_t blocks) {
  float y = 0.0F;
  for (int64_t b = 0; b < blocks; ++b) {
    const auto weight = plain_block(type, row + b * tensor::storage_layout(type).bytes);
    const auto input = plain_input(x + 32 * b);
    int sum = 0;
    int input_sum = 0;
    for (int i = 0; i < 32; ++i) {
      sum += weight.codes[i] * input.codes[i];
      input_sum += input.codes[i];
    }
    y = std::fma(static_cast<float>(sum), weight.scale * input.scale, y);
    if (type == StorageType::kQ4_1) {
      y = std::fma(weight.minimum, input.scale * static_cast<float>(input_sum), y);
    }
  }
  return y;
}

Tensor plain_products(const Tensor& x, const BlockWeight& weight) {
  auto y = at::empty({x.size(0), weight.num_outputs()}, at::kFloat);
  for (int64_t n = 0; n < x.size(0); ++n) {
    for (int64_t o = 0; o < weight.num_outputs(); ++o) {
      y[n][o] = plain_product(x[n].const_data_ptr<float>(), weight.type,
                              weight.bytes[o].const_data_ptr<uint8_t>(), x.size(1) / 32);
    }
  }
  return y;
}

// Every code there is, -128 of Q8_0 too, with scales and minima around 2^-6.
BlockWeight random_weight(StorageType type, int64_t outputs, int64_t blocks, uint64_t seed) {
  const auto layout = tensor::storage_layout(type);
  auto bytes = at::empty({outputs, blocks * layout.bytes}, at::kByte);
  uint8_t* data = bytes.mutable_data_ptr<uint8_t>();
  CounterRng rng(seed, {});
  for (int64_t i = 0; i < bytes.numel(); ++i) data[i] = static_cast<uint8_t>(rng.next_u32());
  for (int64_t block = 0; block < outputs * blocks; ++block) {
    const int num_halves = type == StorageType::kQ4_1 ? 2 : 1;
    for (int half = 0; half < num_halves; ++half) {
      const c10::Half value(static_cast<float>((rng.uniform() - 0.5) / 16.0));
      std::memcpy(data + block * layout.bytes + 2 * half, &value, sizeof(value));
    }
  }
  return block_weight(type, bytes);
}

Tensor random_input(int64_t rows, int64_t inputs) {
  return random_tensor({rows, inputs}, 1).to(torch::kFloat32);
}

Tensor multiplied_by(MultiplyBlocks& body, const Tensor& x, const BlockWeight& weight) {
  const int64_t rows = x.size(0);
  const int64_t blocks = x.size(1) / 32;
  std::vector<InputBlock> inputs(static_cast<size_t>(rows * blocks));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < blocks; ++b) {
      inputs[static_cast<size_t>(b * rows + row)] =
          round_block(x[row].const_data_ptr<float>() + 32 * b);
    }
  }
  auto y = at::full({rows, weight.num_outputs()}, NAN, at::kFloat);
  body({.type = weight.type,
        .x = inputs.data(),
        .weight = weight.bytes.const_data_ptr<uint8_t>(),
        .y = y.mutable_data_ptr<float>(),
        .blocks = blocks,
        .outputs = weight.num_outputs(),
        .rows = rows},
       0, weight.num_outputs());
  return y;
}

// ---- Rounding of x ------------------------------------------------------------------------------

TEST(RoundBlock, IsThePlainRounding) {
  const auto x = random_input(50, 32) * 3.0;
  for (int64_t row = 0; row < 50; ++row) {
    const float* numbers = x[row].const_data_ptr<float>();
    const auto expected = plain_input(numbers);
    const InputBlock block = round_block(numbers);
    int sum = 0;
    for (int i = 0; i < 32; ++i) {
      ASSERT_EQ(block.codes[i], expected.codes[i]) << row << ", " << i;
      sum += block.codes[i];
    }
    EXPECT_EQ(block.scale, expected.scale);
    EXPECT_EQ(block.scaled_sum, expected.scale * static_cast<float>(sum));
    EXPECT_EQ(block.minus_8_sums, -8 * sum);
    EXPECT_EQ(block.minus_128_sums, -128 * sum);
  }
}

// The largest is 127, so the scale is 1 and the codes are the numbers, ties to the even one.
TEST(RoundBlock, TakesTiesToTheEvenCode) {
  std::vector<float> numbers(32, 0.0F);
  const std::vector<float> first = {-127.0F, 0.5F, 1.5F, -2.5F, 2.49F, 126.6F};
  std::copy(first.begin(), first.end(), numbers.begin());
  const InputBlock block = round_block(numbers.data());
  EXPECT_EQ(block.scale, 1.0F);
  const std::vector<int> expected = {-127, 0, 2, -2, 2, 127, 0};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(block.codes[i], expected[i]) << i;
}

TEST(RoundBlock, HasNoCodesForNothingAndForWhatIsNotFinite) {
  std::vector<float> numbers(32, 0.0F);
  EXPECT_EQ(round_block(numbers.data()).scale, 0.0F);
  EXPECT_EQ(round_block(numbers.data()).codes[5], 0);
  numbers[5] = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(round_block(numbers.data()).codes[5], 0);
  numbers[5] = 5e-37F;  // 127 / 5e-37 is below the largest float
  EXPECT_EQ(round_block(numbers.data()).codes[5], 127);
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    numbers[5] = bad;
    EXPECT_TRUE(std::isnan(round_block(numbers.data()).scale)) << bad;
    EXPECT_TRUE(std::isnan(round_block(numbers.data()).scaled_sum)) << bad;
  }
}

// ---- Products -----------------------------------------------------------------------------------

// One block and many, outputs that no tile divides.
using Case = std::tuple<StorageType, std::pair<int64_t, int64_t>>;
class QuantizedProduct : public testing::TestWithParam<Case> {
 protected:
  static StorageType type() { return std::get<0>(GetParam()); }
  static int64_t blocks() { return std::get<1>(GetParam()).first; }
  static int64_t outputs() { return std::get<1>(GetParam()).second; }
  static BlockWeight weight() { return random_weight(type(), outputs(), blocks(), 2); }
  static Tensor x(int64_t rows) { return random_input(rows, 32 * blocks()); }
};
INSTANTIATE_TEST_SUITE_P(Types, QuantizedProduct,
                         testing::Combine(testing::Values(StorageType::kQ8_0, StorageType::kQ4_0,
                                                          StorageType::kQ4_1),
                                          testing::Values(std::pair(1, 1), std::pair(3, 16),
                                                          std::pair(2, 37), std::pair(18, 203))),
                         testing_support::by_value);

TEST_P(QuantizedProduct, EqualsThePlainLoopsBitForBit) {
  for (const int64_t rows : {1, 2, 5}) {
    EXPECT_TRUE(at::equal(quantized_product(x(rows), weight()), plain_products(x(rows), weight())))
        << rows;
  }
}

TEST_P(QuantizedProduct, BothBodiesEqualThePlainLoopsBitForBit) {
  const auto expected = plain_products(x(3), weight());
  EXPECT_TRUE(at::equal(multiplied_by(multiply_blocks_avx2, x(3), weight()), expected));
  if (!has_avx512_vnni()) GTEST_SKIP() << "this processor has no AVX-512 with VNNI";
  EXPECT_TRUE(at::equal(multiplied_by(multiply_blocks_avx512, x(3), weight()), expected));
}

// What rounding x by half a code at most can do, block by block: max|x| / 254 for every weight; and
// float32's own rounding of two sums a block.
TEST_P(QuantizedProduct, IsWithinTheRoundingOfTheExactProduct) {
  const auto wide = dequantized(weight()).to(at::kDouble);
  const auto rows = x(4);
  const auto by_block = [&](const Tensor& numbers) {
    return numbers.view({numbers.size(0), blocks(), 32});
  };
  const auto exact = at::mm(rows.to(at::kDouble), wide.t());
  const auto half_codes = by_block(rows).abs().amax(2).to(at::kDouble) / 254.0;  // [N, B]
  const auto weights = by_block(wide).abs().sum(2);                              // [O, B]
  const auto magnitude = at::mm(rows.to(at::kDouble).abs(), wide.abs().t());     // [N, O]
  const double rounding = 2.0 * static_cast<double>(blocks() + 2) * std::ldexp(1.0, -23);
  const auto bound = at::mm(half_codes, weights.t()) * (1.0 + 1e-5) + 4.0 * rounding * magnitude;
  const auto error = (quantized_product(rows, weight()).to(at::kDouble) - exact).abs();
  EXPECT_TRUE((error <= bound).all().item<bool>());
  EXPECT_GT(error.max().item<double>(), 0.0);  // x was rounded
}

TEST_P(QuantizedProduct, ARowsBitsDoNotDependOnTheOthers) {
  const auto rows = x(150);  // more than go through the weights together
  const auto all = quantized_product(rows, weight());
  for (const int64_t count : {1, 2, 3, 7, 20, 40, 63, 64, 65, 149}) {
    ASSERT_TRUE(
        at::equal(quantized_product(rows.narrow(0, 0, count), weight()), all.narrow(0, 0, count)))
        << count;
    ASSERT_TRUE(
        at::equal(quantized_product(rows.narrow(0, count, 1), weight()), all.narrow(0, count, 1)))
        << count;
  }
  EXPECT_TRUE(at::equal(quantized_product(rows.flip(0), weight()), all.flip(0)));
}

TEST_P(QuantizedProduct, TheNumberOfThreadsChangesNoBit) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = quantized_product(x(40), weight());
  at::set_num_threads(3);
  const auto three = quantized_product(x(40), weight());
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, three));
}

// 32 * 128 * 127, 32 * 15 * 127: the largest sums there are, of either sign.
TEST(QuantizedProductByHand, TheLargestCodesDoNotOverflow) {
  for (const StorageType type : {StorageType::kQ8_0, StorageType::kQ4_0, StorageType::kQ4_1}) {
    const auto layout = tensor::storage_layout(type);
    for (const int code : {0x00, 0x7f, 0x80, 0xff}) {
      auto bytes = at::full({16, layout.bytes}, code, at::kByte);
      bytes.narrow(1, 0, type == StorageType::kQ4_1 ? 4 : 2).zero_();
      bytes.select(1, 1).fill_(0x3c);  // float16 0x3c00 is 1
      const auto weight = block_weight(type, bytes);
      for (const float sign : {1.0F, -1.0F}) {
        const auto x = at::full({1, 32}, 127.0F * sign);
        const auto exact = at::mm(x, dequantized(weight).t());
        EXPECT_TRUE(at::equal(multiplied_by(multiply_blocks_avx2, x, weight), exact))
            << layout.name << " " << code << " " << sign;
        if (!has_avx512_vnni()) continue;
        EXPECT_TRUE(at::equal(multiplied_by(multiply_blocks_avx512, x, weight), exact))
            << layout.name << " " << code << " " << sign;
      }
    }
  }
}

TEST(QuantizedProductByHand, WhatIsNotFiniteStaysInItsRow) {
  const auto weight = random_weight(StorageType::kQ4_1, 20, 3, 2);
  auto x = random_input(3, 96);
  const auto before = quantized_product(x, weight);
  x[1][40] = INFINITY;
  const auto after = quantized_product(x, weight);
  EXPECT_TRUE(after[1].isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(after[0], before[0]));
  EXPECT_TRUE(at::equal(after[2], before[2]));
}

TEST(QuantizedProducts, AreTheProductsOfEachWeight) {
  const auto x = random_input(5, 96);
  const std::vector<BlockWeight> weights = {random_weight(StorageType::kQ4_0, 70, 3, 2),
                                            random_weight(StorageType::kQ8_0, 3, 3, 3),
                                            random_weight(StorageType::kQ4_1, 90, 3, 4)};
  const auto results = quantized_products(x, weights);
  ASSERT_EQ(results.size(), 3);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::equal(results[i], quantized_product(x, weights[i]))) << i;
  }
}

// ---- In a linear layer --------------------------------------------------------------------------

class QuantizedLinear : public testing::Test {
 protected:
  Tensor x = random_input(7, 64);
  LinearWeights layer{.bias = random_tensor({19}, 3).to(torch::kFloat32),
                      .a = random_tensor({4, 64}, 4).to(torch::kFloat32),
                      .b = random_tensor({19, 4}, 5).to(torch::kFloat32),
                      .options = {.scale = 0.7},
                      .is_by_row = true,
                      .blocks = random_weight(StorageType::kQ4_1, 19, 2, 2)};
};

TEST_F(QuantizedLinear, AddsBiasAndUpdateInFloat32) {
  const auto update = at::mm(at::mm(x, layer.a.t()), layer.b.t()) * 0.7;
  EXPECT_TRUE(is_close(linear(x, layer), quantized_product(x, layer.blocks) + layer.bias + update));
  EXPECT_TRUE(at::equal(linear(x.narrow(0, 3, 1), layer), linear(x, layer).narrow(0, 3, 1)));
}

TEST_F(QuantizedLinear, ThePlainPathIsThatOfTheDequantisedWeight) {
  LinearWeights dense = layer;
  dense.blocks = {};
  dense.weight = dequantized(layer.blocks);
  const auto expected = linear(x, dense);
  const PlainPathGuard plain;
  EXPECT_TRUE(is_close(linear(x, layer), expected));
}

TEST_F(QuantizedLinear, StandsBesideADenseOne) {
  LinearWeights dense = layer;
  dense.blocks = {};
  dense.weight = random_tensor({5, 64}, 6).to(torch::kFloat32);
  dense.bias = Tensor();
  dense.a = Tensor();
  const auto both = shared_linear(x, {dense, layer});
  EXPECT_TRUE(at::equal(both[0], linear(x, dense)));
  EXPECT_TRUE(at::equal(both[1], linear(x, layer)));
}

// ---- Weights ------------------------------------------------------------------------------------

TEST(BlockWeights, RowsAreThoseOfTheWholeWeight) {
  for (const StorageType type : {StorageType::kQ8_0, StorageType::kQ4_0, StorageType::kQ4_1}) {
    const auto weight = random_weight(type, 9, 2, 5);
    const auto whole = dequantized(weight);
    for (int64_t o = 0; o < 9; ++o) {
      const auto block = plain_block(type, weight.bytes[o].const_data_ptr<uint8_t>());
      EXPECT_EQ(whole[o][17].item<float>(),
                static_cast<float>(block.codes[17]) * block.scale + block.minimum);
    }
    const auto ids = at::tensor(std::vector<int64_t>{8, 0, 8, 3});
    EXPECT_TRUE(at::equal(dequantized_rows(weight, ids), whole.index_select(0, ids)));
  }
}

TEST(BlockWeightErrors, SayWhatDoesNotFit) {
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              block_weight(StorageType::kQ6_K, at::zeros({2, 210}, at::kByte));
            }),
            "[block_weight] got type Q6_K, expected Q8_0, Q4_0 or Q4_1.");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              block_weight(StorageType::kQ4_0, at::zeros({2, 20}, at::kByte));
            }),
            "[block_weight] got uint8 [2, 20] for Q4_0, expected contiguous uint8 [O, a multiple "
            "of 18] on the CPU.");
}

TEST_F(QuantizedLinear, IsForDecodingAlone) {
  const std::string expected =
      "[linear] weight type: got Q4_1, expected float32, bfloat16 or float16. Quantised weights "
      "are "
      "for decoding alone: row by row, without gradients.";
  layer.a.requires_grad_(true);
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear(x, layer); }), expected);
  {
    const torch::NoGradGuard no_grad;
    EXPECT_EQ(message_of<std::invalid_argument>([&] { linear(x, layer); }), kNothingThrown);
  }
  layer.a = Tensor();
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear(x, layer); }), kNothingThrown);
  EXPECT_EQ(
      message_of<std::invalid_argument>([&] { linear(x.clone().requires_grad_(true), layer); }),
      expected);
  layer.is_by_row = false;
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear(x, layer); }), expected);
}

TEST_F(QuantizedLinear, ShapesThatDoNotFitAreNamed) {
  EXPECT_EQ(message_of<std::invalid_argument>([&] { linear(random_input(2, 96), layer); }),
            "[linear] shapes do not fit: got x [2, 96] and weight [19, 64], expected [T, I] and "
            "[O, I].");
}

TEST(QuantizedProductErrors, SayWhatDoesNotFit) {
  const auto weight = random_weight(StorageType::kQ8_0, 4, 2, 6);
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              quantized_product(at::ones({2, 32}), weight);
            }),
            "[quantized_product] shapes do not fit: got x [2, 32] and Q8_0 weight [4, 64], "
            "expected [N, I] and [O, I].");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              quantized_product(at::ones({2, 64}, at::kBFloat16), weight);
            }),
            "[quantized_product] got x bfloat16 on cpu, expected float32 on the CPU.");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              quantized_product(at::ones({2, 64}), {});
            }),
            "[quantized_product] got no weight, expected blocks.");
}

}  // namespace quantized_product_test
}  // namespace cpx::kernels
