// SPDX-License-Identifier: Apache-2.0
// Bit for bit as the gguf package does it: scripts/fixtures/make_gguf.py.
#include "cpx/quant/gguf_blocks.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "cpx/formats/gguf.h"
#include "cpx/formats/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::quant {
namespace gguf_blocks_test {

using testing_support::message_of;

using tensor::StorageType;

bool equal_bits(const torch::Tensor& a, const torch::Tensor& b) {
  const auto left = a.contiguous();
  const auto right = b.contiguous();
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0;
}

// "blk.0.attn_q.weight" -> "model.layers.0.self_attn.q_proj.weight".
std::string folder_key(const std::string& name) {
  static const std::map<std::string, std::string> whole = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"}};
  static const std::map<std::string, std::string> in_layer = {
      {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  if (const auto found = whole.find(name); found != whole.end()) return found->second;
  const std::string layer = name.substr(4, 1);
  const std::string part = name.substr(6, name.size() - 6 - std::strlen(".weight"));
  return "model.layers." + layer + "." + in_layer.at(part) + ".weight";
}

// Rows of q and k from pairs (GGUF) to halves (Hugging Face).
torch::Tensor in_folder_order(const std::string& name, const torch::Tensor& rows) {
  const int64_t num_heads = name.find("attn_q.") != std::string::npos   ? 4
                            : name.find("attn_k.") != std::string::npos ? 2
                                                                        : 0;
  if (num_heads == 0) return rows;
  return rows.view({num_heads, rows.size(0) / num_heads / 2, 2, rows.size(1)})
      .transpose(1, 2)
      .reshape(rows.sizes());
}

std::string fixture(const std::string& name) {
  return std::string(CPX_SOURCE_DIR "/tests/fixtures/gguf/") + name;
}

class GgufBlocks : public testing::TestWithParam<const char*> {};

TEST_P(GgufBlocks, DequantisedTensorsEqualTheReferenceBitForBit) {
  const auto file = formats::GgufFile::open(fixture(std::string(GetParam()) + ".gguf"));
  const auto expected = formats::SafetensorsFile::open(
      fixture("expected/" + std::string(GetParam()) + ".safetensors"));
  std::map<StorageType, int> num_compared;
  for (const auto& stored : file->tensors()) {
    if (stored.name == "rope_freqs.weight") continue;
    const auto values = dequantize(stored.type, stored.bytes, stored.shape, torch::kFloat32);
    const auto want = expected->tensor(folder_key(stored.name));
    EXPECT_TRUE(equal_bits(in_folder_order(stored.name, values), want)) << stored.name;
    const auto bfloat16 = dequantize(stored.type, stored.bytes, stored.shape, torch::kBFloat16);
    EXPECT_TRUE(equal_bits(bfloat16, values.to(torch::kBFloat16))) << stored.name;
    const auto half = dequantize(stored.type, stored.bytes, stored.shape, torch::kFloat16);
    EXPECT_TRUE(equal_bits(half, values.to(torch::kFloat16))) << stored.name;
    ++num_compared[stored.type];
  }
  EXPECT_EQ(num_compared.size(), GetParam() == std::string("llama_mixed") ? 7u : 2u);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GgufBlocks, testing::Values("llama_mixed", "llama_tied_q4_1"),
                         testing_support::by_value);

template <size_t N>
std::vector<float> decoded(StorageType type, const uint8_t (&bytes)[N], size_t count) {
  std::vector<float> values(count);
  dequantize_blocks(type, std::as_bytes(std::span(bytes)), values);
  return values;
}

// f16 0x3800 is 0.5, 0xc000 is -2: number 0 = 0.5 * (0x1 - 8), number 16 = 0.5 * (0xf - 8).
TEST(GgufBlocksByHand, LowAndHighHalvesOfQ4AreSixteenApart) {
  const uint8_t q4_0[18] = {0x00, 0x38, 0xf1};
  const auto values = decoded(StorageType::kQ4_0, q4_0, 32);
  EXPECT_EQ(values[0], -3.5f);
  EXPECT_EQ(values[16], 3.5f);
  EXPECT_EQ(values[1], -4.0f);
  const uint8_t q4_1[20] = {0x00, 0x38, 0x00, 0xc0, 0xf1};
  const auto shifted = decoded(StorageType::kQ4_1, q4_1, 32);
  EXPECT_EQ(shifted[0], -1.5f);
  EXPECT_EQ(shifted[16], 5.5f);
  EXPECT_EQ(shifted[1], -2.0f);
}

TEST(GgufBlocksByHand, HalvesKeepSubnormalsInfinitiesAndOddCounts) {
  const uint8_t halves[18] = {0x01, 0x00, 0x00, 0x7c, 0x00, 0xfc, 0xff, 0x03, 0x00,
                              0x80, 0x00, 0x3c, 0x00, 0x3c, 0x00, 0x3c, 0x00, 0xc4};
  const auto values = decoded(StorageType::kF16, halves, 9);
  EXPECT_EQ(values[0], std::ldexp(1.0f, -24));
  EXPECT_EQ(values[1], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[2], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[3], std::ldexp(1023.0f, -24));
  EXPECT_TRUE(values[4] == 0.0f && std::signbit(values[4]));
  EXPECT_EQ(values[8], -4.0f);
}

TEST(GgufBlocksByHand, TensorsOfManyRunsAreWhole) {
  const auto numbers = torch::arange(100'003, torch::kFloat32);
  const std::span bytes(static_cast<const std::byte*>(numbers.data_ptr()), numbers.nbytes());
  EXPECT_TRUE(
      torch::equal(dequantize(StorageType::kF32, bytes, {100'003}, torch::kFloat32), numbers));
  EXPECT_TRUE(equal_bits(dequantize(StorageType::kF32, bytes, {100'003}, torch::kBFloat16),
                         numbers.to(torch::kBFloat16)));
  EXPECT_EQ(dequantize(StorageType::kF32, {}, {0, 3}, torch::kFloat16).numel(), 0);
}

TEST(GgufBlocksByHand, NarrowTypesRoundTiesToEvenAndKeepWhatIsNotFinite) {
  // 1 + 2^-8 lies between two bfloat16, 1 + 3 * 2^-8 too: down and up to the even one.
  std::vector<float> numbers = {1.00390625f, 1.01171875f, INFINITY, -INFINITY, 3.4e38f, NAN};
  numbers.resize(35, -1.00390625f);
  const auto bytes = std::as_bytes(std::span(numbers));
  const auto rounded = dequantize(StorageType::kF32, bytes, {35}, torch::kBFloat16);
  const auto values = rounded.to(torch::kFloat32);
  EXPECT_EQ(values[0].item<float>(), 1.0f);
  EXPECT_EQ(values[1].item<float>(), 1.015625f);
  EXPECT_EQ(values[2].item<float>(), INFINITY);
  EXPECT_EQ(values[3].item<float>(), -INFINITY);
  EXPECT_EQ(values[4].item<float>(), INFINITY);
  EXPECT_TRUE(std::isnan(values[5].item<float>()));
  EXPECT_EQ(values[34].item<float>(), -1.0f);
  EXPECT_TRUE(
      std::isnan(dequantize(StorageType::kF32, bytes, {35}, torch::kFloat16)[5].item<float>()));
}

TEST(GgufBlocksErrors, SizesThatDoNotFitAreNamed) {
  const std::vector<std::byte> bytes(34);
  std::vector<float> values(31);
  EXPECT_EQ(message_of<std::invalid_argument>(
                [&] { dequantize_blocks(StorageType::kQ8_0, bytes, values); }),
            "[dequantize_blocks] 34 bytes of Q8_0 for 31 numbers, expected 34 bytes for every 32.");
  const auto run = [&](at::IntArrayRef shape, torch::Dtype dtype) {
    return message_of<std::invalid_argument>(
        [&] { dequantize(StorageType::kQ8_0, bytes, shape, dtype); });
  };
  EXPECT_EQ(run({2, 32}, torch::kFloat32),
            "[dequantize] 34 bytes of Q8_0 for [2, 32], expected rows of whole blocks of 32 in 34 "
            "bytes.");
  EXPECT_EQ(run({2, 16}, torch::kFloat32),
            "[dequantize] 34 bytes of Q8_0 for [2, 16], expected rows of whole blocks of 32 in 34 "
            "bytes.");
  EXPECT_EQ(run({-1}, torch::kFloat32), "[dequantize] [-1] is no shape.");
  EXPECT_EQ(run({int64_t{1} << 40, int64_t{1} << 40}, torch::kFloat32),
            "[dequantize] [1099511627776, 1099511627776] is no shape.");
  EXPECT_EQ(run({32}, torch::kInt32),
            "[dequantize] got int32, expected float32, bfloat16 or float16.");
}

}  // namespace gguf_blocks_test
}  // namespace cpx::quant
