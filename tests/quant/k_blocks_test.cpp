// SPDX-License-Identifier: Apache-2.0
// The block types of most GGUF files that are around: numbers as the gguf package reads them
// (scripts/fixtures/make_k_quants.py), and what they become to be computed with.
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/formats/safetensors.h"
#include "cpx/quant/gguf_blocks.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::quant {
namespace k_blocks_test {

using tensor::StorageType;
using testing_support::message_of;
using torch::Tensor;

struct Named {
  const char* name;
  StorageType type;
};

void PrintTo(const Named& one, std::ostream* out) { *out << one.name; }

constexpr Named kTypes[] = {{"q5_0", StorageType::kQ5_0},    {"q5_1", StorageType::kQ5_1},
                            {"q2_k", StorageType::kQ2_K},    {"q3_k", StorageType::kQ3_K},
                            {"q4_k", StorageType::kQ4_K},    {"q5_k", StorageType::kQ5_K},
                            {"q6_k", StorageType::kQ6_K},    {"iq4_nl", StorageType::kIQ4_NL},
                            {"iq4_xs", StorageType::kIQ4_XS}};

std::span<const std::byte> bytes_of(const Tensor& blocks) {
  return {static_cast<const std::byte*>(blocks.const_data_ptr()), blocks.nbytes()};
}

class KBlocks : public testing::TestWithParam<Named> {
 protected:
  Tensor blocks() const { return file_->tensor(GetParam().name); }
  Tensor numbers() const { return file_->tensor(std::string(GetParam().name) + ".numbers"); }

  // The numbers of these blocks taken to `type`, the fixture's first `num_rows` of them.
  Tensor taken_to(StorageType type, int64_t num_rows) const {
    const auto stored = blocks().narrow(0, 0, num_rows).contiguous();
    const auto taken = quantize(type, GetParam().type, bytes_of(stored), {num_rows, 512});
    return dequantize(type, bytes_of(taken), {num_rows, 512}, at::kFloat);
  }

  std::shared_ptr<const formats::SafetensorsFile> file_ = formats::SafetensorsFile::open(
      CPX_SOURCE_DIR "/tests/fixtures/gguf/expected/block_types.safetensors");
};

TEST_P(KBlocks, NumbersEqualThePeersBitForBit) {
  const auto read = dequantize(GetParam().type, bytes_of(blocks()), {6, 512}, at::kFloat);
  EXPECT_TRUE(at::equal(read, numbers()));
  EXPECT_GT(read.abs().max().item<float>(), 0.0f);
  EXPECT_TRUE(at::equal(dequantize(GetParam().type, bytes_of(blocks()), {6, 512}, at::kBFloat16),
                        numbers().to(at::kBFloat16)));
}

// Exactly, or to half a step of 1/127 of the largest of 32 and the rounding of the scale.
TEST_P(KBlocks, BecomeQ8_0) {
  const bool is_exact = GetParam().type == StorageType::kQ5_0 ||
                        GetParam().type == StorageType::kQ3_K ||
                        GetParam().type == StorageType::kIQ4_NL;
  const auto taken = taken_to(StorageType::kQ8_0, 6);
  if (is_exact) {
    EXPECT_TRUE(at::equal(taken, numbers()));
    return;
  }
  const auto largest = numbers().view({6, 16, 32}).abs().amax(2, /*keepdim=*/true);
  const auto error = (taken - numbers()).view({6, 16, 32}).abs();
  // A scale of 11 bits, in the row of the smallest scales a step of 2^-24, is 127 times wrong.
  const auto step = largest * (1.0 / 254 + 1.0 / 2048) + 127.0 * std::ldexp(1.0, -25);
  EXPECT_TRUE((error <= step).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Types, KBlocks, testing::ValuesIn(kTypes), testing_support::by_value);

Tensor fixture_tensor(const std::string& name) {
  return formats::SafetensorsFile::open(CPX_SOURCE_DIR
                                        "/tests/fixtures/gguf/expected/block_types.safetensors")
      ->tensor(name);
}

// The largest error of `type`'s numbers taken to `to`, in parts of the largest of their 256.
double error_of(const std::string& name, StorageType type, StorageType to) {
  const auto stored = fixture_tensor(name);
  const auto numbers = fixture_tensor(name + ".numbers");
  const auto taken = quantize(to, type, bytes_of(stored), {6, 512});
  const auto read = dequantize(to, bytes_of(taken), {6, 512}, at::kFloat);
  const auto largest = numbers.view({6, 2, 256}).abs().amax(2, /*keepdim=*/true);
  const auto error = (read - numbers).view({6, 2, 256}).abs() / (largest + 1e-3);
  return error.max().item<double>();
}

// A scale and a minimum of 11 bits, against seven bits of a number in Q8_0.
TEST(Repacked, Q4_KKeepsItsCodesInQ4_1) {
  EXPECT_LT(error_of("q4_k", StorageType::kQ4_K, StorageType::kQ4_1), 1.0 / 1024);
  EXPECT_GT(error_of("q4_k", StorageType::kQ4_K, StorageType::kQ8_0), 1.0 / 1024);
}

TEST(Repacked, IQ4_XSKeepsItsCodesInQ8_0) {
  EXPECT_LT(error_of("iq4_xs", StorageType::kIQ4_XS, StorageType::kQ8_0), 1.0 / 2048);
}

// By hand. f16 0x3c00 is 1, 0x3800 is 0.5. The first run has scale 3 and minimum 2, its first byte
// codes 5 (number 0) and 9 (number 32, of the second run, whose scale is 1 and minimum 0).
TEST(Repacked, Q4_KByHand) {
  uint8_t block[144] = {0x00, 0x3c, 0x00, 0x38, 3, 1, 0, 0, 2};
  block[16] = 0x95;
  const std::span bytes = std::as_bytes(std::span(block));
  const auto numbers = dequantize(StorageType::kQ4_K, bytes, {1, 256}, at::kFloat);
  EXPECT_EQ(numbers[0][0].item<float>(), 3 * 5 - 0.5 * 2);
  EXPECT_EQ(numbers[0][1].item<float>(), -1.0f);
  EXPECT_EQ(numbers[0][32].item<float>(), 9.0f);
  const auto taken = quantize(StorageType::kQ4_1, StorageType::kQ4_K, bytes, {1, 256});
  EXPECT_TRUE(
      at::equal(dequantize(StorageType::kQ4_1, bytes_of(taken), {1, 256}, at::kFloat), numbers));
}

// Scale -32 and code -4 give 128, which fits a signed byte with the other sign alone.
TEST(Repacked, Q3_KWithTheLargestProductOfItsCodes) {
  std::vector<uint8_t> block(110, 0);  // all codes -4, all scales -32
  block[109] = 0x3c;
  const std::span bytes = std::as_bytes(std::span(block));
  const auto taken = quantize(StorageType::kQ8_0, StorageType::kQ3_K, bytes, {1, 256});
  const auto numbers = dequantize(StorageType::kQ8_0, bytes_of(taken), {1, 256}, at::kFloat);
  EXPECT_TRUE((numbers == 128.0f).all().item<bool>());
}

TEST(RepackedErrors, ScalesThatAreNotFiniteAreRefused) {
  const auto refused = [&](StorageType from, StorageType to, std::vector<uint8_t> block) {
    const int64_t columns = tensor::storage_layout(from).elements;
    return message_of<std::invalid_argument>([&] {
      quantize(to, from, std::as_bytes(std::span(block)), {1, columns});
    });
  };
  const std::string message = "[repack_blocks] got a scale that is not finite in float16.";
  std::vector<uint8_t> q4_k(144, 255);
  EXPECT_EQ(refused(StorageType::kQ4_K, StorageType::kQ4_1, q4_k), message);
  q4_k[0] = q4_k[2] = q4_k[3] = 0;
  q4_k[1] = 0x7b;  // 57344: finite, but not 63 times of it
  EXPECT_EQ(refused(StorageType::kQ4_K, StorageType::kQ4_1, q4_k), message);
  EXPECT_EQ(refused(StorageType::kQ5_0, StorageType::kQ8_0, std::vector<uint8_t>(22, 255)),
            message);
  EXPECT_EQ(refused(StorageType::kQ5_K, StorageType::kQ8_0, std::vector<uint8_t>(176, 255)),
            "[quantize_blocks] got a number that is not finite, which Q8_0 cannot hold.");
}

}  // namespace k_blocks_test
}  // namespace cpx::quant
