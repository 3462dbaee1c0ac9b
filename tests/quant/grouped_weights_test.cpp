// SPDX-License-Identifier: Apache-2.0
// Bit for bit as GPTQModel and AutoAWQ do it: scripts/fixtures/make_gptq_awq.py.
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/formats/safetensors.h"
#include "cpx/quant/awq.h"
#include "cpx/quant/gptq.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"

namespace cpx::quant {
namespace grouped_weights_test {

using testing_support::message_of;

struct Case {
  const char* name;
  bool is_gptq;
  GptqFormat format;  // of AWQ: bits and group size
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

const Case kCases[] = {
    {"gptq_4bit_v1", true, {.bits = 4, .group_size = 16}},
    {"gptq_4bit_v2_reordered",
     true,
     {.bits = 4, .group_size = 32, .has_zeros_less_one = false, .has_inputs_reordered = true}},
    {"gptq_4bit_short_last_group", true, {.bits = 4, .group_size = 32}},
    {"gptq_4bit_bfloat16", true, {.bits = 4, .group_size = 16, .has_zeros_less_one = false}},
    {"gptq_8bit_v1", true, {.bits = 8, .group_size = 16}},
    {"gptq_8bit_v2_one_group", true, {.bits = 8, .group_size = -1, .has_zeros_less_one = false}},
    {"awq_4bit", false, {.bits = 4, .group_size = 16}},
    {"awq_4bit_one_group", false, {.bits = 4, .group_size = -1}},
    {"awq_4bit_bfloat16", false, {.bits = 4, .group_size = 16}},
};

GroupedWeight stored(const formats::SafetensorsFile& file, const std::string& name) {
  const auto part = [&](const std::string& ending) {
    return file.contains(name + ending) ? file.tensor(name + ending) : torch::Tensor();
  };
  return {.file = "model.safetensors",
          .layer = name,
          .qweight = part(".qweight"),
          .qzeros = part(".qzeros"),
          .scales = part(".scales"),
          .g_idx = part(".g_idx")};
}

bool equal_bits(const torch::Tensor& left, const torch::Tensor& right) {
  if (left.scalar_type() != right.scalar_type() || left.sizes() != right.sizes()) return false;
  const auto as_integers = left.element_size() == 2 ? torch::kInt16 : torch::kInt32;
  return at::equal(left.contiguous().view(as_integers), right.contiguous().view(as_integers));
}

class GroupedWeights : public testing::TestWithParam<Case> {
 protected:
  GroupedWeight weight() const { return stored(*file_, GetParam().name); }
  torch::Tensor expected() const { return file_->tensor(std::string(GetParam().name) + ".weight"); }

  std::vector<int64_t> shape() const {
    const auto& format = GetParam().format;
    return GetParam().is_gptq ? gptq_shape(weight(), format)
                              : awq_shape(weight(), {format.bits, format.group_size});
  }

  torch::Tensor dense(const GroupedWeight& weight, torch::Dtype dtype) const {
    const auto& format = GetParam().format;
    return GetParam().is_gptq ? dequantize_gptq(weight, format, dtype)
                              : dequantize_awq(weight, {format.bits, format.group_size}, dtype);
  }

  std::shared_ptr<const formats::SafetensorsFile> file_ = formats::SafetensorsFile::open(
      CPX_SOURCE_DIR "/tests/fixtures/quant/grouped_weights.safetensors");
};
INSTANTIATE_TEST_SUITE_P(Fixtures, GroupedWeights, testing::ValuesIn(kCases),
                         testing_support::by_value);

TEST_P(GroupedWeights, AreThePeersBitForBitInEveryType) {
  EXPECT_EQ(shape(), expected().sizes().vec());
  for (const auto dtype : {torch::kFloat16, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equal_bits(dense(weight(), dtype), expected().to(dtype))) << dtype;
  }
}

TEST_P(GroupedWeights, AreTheSameWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const int num_threads : {1, 3}) {
    at::set_num_threads(num_threads);
    EXPECT_TRUE(equal_bits(dense(weight(), torch::kFloat32), expected().to(torch::kFloat32)));
  }
  at::set_num_threads(before);
}

TEST_P(GroupedWeights, WithoutGroupsOfTheirOwnAreRunsOfInputs) {
  if (GetParam().format.has_inputs_reordered) GTEST_SKIP() << "the groups are no runs";
  auto without = weight();
  without.g_idx = torch::Tensor();
  EXPECT_TRUE(equal_bits(dense(without, torch::kFloat32), expected().to(torch::kFloat32)));
}

int32_t word(uint32_t bits) { return static_cast<int32_t>(bits); }

// One group of 8 inputs and 8 outputs, every scale 0.5.
GroupedWeight small_layer() {
  return {.file = "model.safetensors",
          .layer = "up_proj",
          .qweight = at::zeros({1, 8}, at::kInt),
          .qzeros = at::zeros({1, 1}, at::kInt),
          .scales = at::full({1, 8}, 0.5, at::kHalf),
          .g_idx = at::zeros({8}, at::kInt)};
}

constexpr GptqFormat kGptq = {.bits = 4, .group_size = 8};
constexpr GptqFormat kGptqVersion2 = {.bits = 4, .group_size = 8, .has_zeros_less_one = false};
constexpr AwqFormat kAwq = {.bits = 4, .group_size = 8};

// Output 0 has the codes 0 .. 7 at its inputs, the lowest bits first; its zero is 2.
TEST(GptqByHand, AWordHoldsEightInputsOfAnOutput) {
  auto weight = small_layer();
  weight.qweight[0][0] = word(0x76543210);
  weight.qzeros[0][0] = word(0x00000002);
  const auto expected = 0.5 * (at::arange(8, at::kFloat) - 2.0);
  EXPECT_TRUE(at::equal(dequantize_gptq(weight, kGptqVersion2, at::kFloat)[0], expected));
}

// Codes of 0, so a weight is -0.5 * zero. The writer took 0x11111111 off 0x..0050: the lowest zero
// was 0 and borrowed from the next.
TEST(GptqByHand, AZeroOfVersion1ThatIsStoredAsTheTopIsZeroAndCarries) {
  auto weight = small_layer();
  weight.qzeros[0][0] = word(0x00000050U - 0x11111111U);
  const auto zeros = -2.0 * dequantize_gptq(weight, kGptq, at::kFloat).select(1, 0);
  EXPECT_TRUE(at::equal(zeros, at::tensor({0, 5, 0, 0, 0, 0, 0, 0}, at::kFloat)));
  weight.qzeros[0][0] = word(0xfedcba98);
  const auto stored = -2.0 * dequantize_gptq(weight, kGptqVersion2, at::kFloat).select(1, 0);
  EXPECT_TRUE(at::equal(stored, at::arange(8, 16, at::kFloat)));
}

// Input 3's word: its codes lie in the order of outputs 0, 2, 4, 6, 1, 3, 5, 7; so do the zeros.
TEST(AwqByHand, AWordHoldsEightOutputsOfAnInputInItsOwnOrder) {
  auto weight = small_layer();
  weight.qweight = at::zeros({8, 1}, at::kInt);
  weight.qweight[3][0] = word(0x75316420);
  weight.qzeros[0][0] = word(0x75316420);
  const auto dense = 2.0 * dequantize_awq(weight, kAwq, at::kFloat);
  EXPECT_TRUE(at::equal(dense.select(1, 3), at::zeros({8})));
  EXPECT_TRUE(at::equal(dense.select(1, 2), -at::arange(8, at::kFloat)));
  weight.qzeros[0][0] = 0;
  EXPECT_TRUE(at::equal(2.0 * dequantize_awq(weight, kAwq, at::kFloat).select(1, 3),
                        at::arange(8, at::kFloat)));
}

// ---- Errors -------------------------------------------------------------------------------------

// Of a file's fault.
std::string gptq_error(const GroupedWeight& weight, const GptqFormat& format = kGptq) {
  return message_of<DataError>([&] { dequantize_gptq(weight, format, torch::kFloat32); });
}

std::string awq_error(const GroupedWeight& weight, const AwqFormat& format = kAwq) {
  return message_of<DataError>([&] { dequantize_awq(weight, format, torch::kFloat32); });
}

// Of a caller's mistake.
std::string gptq_refusal(const GptqFormat& format) {
  return message_of<std::invalid_argument>([&] { gptq_shape(small_layer(), format); });
}

std::string awq_refusal(const AwqFormat& format) {
  return message_of<std::invalid_argument>([&] { awq_shape(small_layer(), format); });
}

TEST(GptqErrors, ThreeBitsAreNotRead) {
  EXPECT_EQ(gptq_refusal({.bits = 3}), "[gptq] got 3 bits, expected 4 or 8.");
}

TEST(GptqErrors, TwoBitsAreNotRead) {
  EXPECT_EQ(gptq_refusal({.bits = 2}), "[gptq] got 2 bits, expected 4 or 8.");
}

TEST(GptqErrors, GroupsOfNoneAreRefused) {
  EXPECT_EQ(gptq_refusal({.group_size = 0}),
            "[gptq] got groups of 0, expected more than 0, or -1.");
}

TEST(GptqErrors, AwqOf8BitsIsNotRead) {
  EXPECT_EQ(awq_refusal({.bits = 8}), "[awq] got 8 bits, expected 4.");
}

TEST(GptqErrors, AwqGroupsBelowZeroAreRefused) {
  EXPECT_EQ(awq_refusal({.group_size = -2}),
            "[awq] got groups of -2, expected more than 0, or -1.");
}

TEST(GptqErrors, IntegersAreNoComputeType) {
  EXPECT_EQ(message_of<std::invalid_argument>(
                [] { dequantize_gptq(small_layer(), kGptq, torch::kInt32); }),
            "[dequantize] got int32, expected float32, bfloat16 or float16.");
}

TEST(GptqErrors, MissingWeightsAreNamed) {
  auto weight = small_layer();
  weight.qweight = torch::Tensor();
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qweight' is missing, expected int32 [inputs * 4 / "
            "32, outputs].");
}

TEST(GptqErrors, MissingZerosAreNamed) {
  auto weight = small_layer();
  weight.qzeros = torch::Tensor();
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qzeros' is missing, expected int32 [1, 1] (8 "
            "inputs in groups of 8, 8 outputs, 4 bits).");
}

TEST(GptqErrors, MissingScalesAreNamed) {
  auto weight = small_layer();
  weight.scales = torch::Tensor();
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.scales' is missing, expected float16 [1, 8] (8 "
            "inputs in groups of 8, 8 outputs, 4 bits).");
}

TEST(GptqErrors, MissingGroupNumbersAreNamed) {
  auto weight = small_layer();
  weight.g_idx = torch::Tensor();
  auto reordered = kGptq;
  reordered.has_inputs_reordered = true;
  EXPECT_EQ(gptq_error(weight, reordered),
            "[gptq] model.safetensors: 'up_proj.g_idx' is missing, expected int32 [8] (8 inputs in "
            "groups of 8, 8 outputs, 4 bits).");
}

TEST(GptqErrors, WeightsOfOneDimensionAreNamed) {
  auto weight = small_layer();
  weight.qweight = at::zeros({8}, at::kInt);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qweight' is int32 [8], expected int32 [inputs * 4 "
            "/ 32, outputs].");
}

TEST(GptqErrors, WeightsThatAreNoIntegersAreNamed) {
  auto weight = small_layer();
  weight.qweight = at::zeros({1, 8}, at::kFloat);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qweight' is float32 [1, 8], expected int32 [inputs "
            "* 4 / 32, outputs].");
}

TEST(GptqErrors, WeightsWithoutInputsAreNamed) {
  auto weight = small_layer();
  weight.qweight = at::zeros({0, 8}, at::kInt);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qweight' is int32 [0, 8], expected int32 [inputs * "
            "4 / 32, outputs].");
}

TEST(GptqErrors, OutputsThatFillNoIntegerAreNamed) {
  auto weight = small_layer();
  weight.qweight = at::zeros({1, 12}, at::kInt);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qweight' has 12 outputs, expected a multiple of 8 "
            "(4 bits).");
}

TEST(GptqErrors, MoreZerosThanGroupsAreNamed) {
  auto weight = small_layer();
  weight.qzeros = at::zeros({2, 1}, at::kInt);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.qzeros' is int32 [2, 1], expected int32 [1, 1] (8 "
            "inputs in groups of 8, 8 outputs, 4 bits).");
}

TEST(GptqErrors, ScalesOfAnotherTypeAreNamed) {
  auto weight = small_layer();
  weight.scales = at::zeros({1, 8}, at::kFloat);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.scales' is float32 [1, 8], expected float16 [1, 8] "
            "(8 inputs in groups of 8, 8 outputs, 4 bits).");
}

TEST(GptqErrors, GroupNumbersOfAnotherTypeAreNamed) {
  auto weight = small_layer();
  weight.g_idx = at::zeros({8}, at::kLong);
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.g_idx' is int64 [8], expected int32 [8] (8 inputs "
            "in groups of 8, 8 outputs, 4 bits).");
}

// Half as many inputs as there are groups for: what a config with the wrong bits leads to.
TEST(GptqErrors, BitsThatDoNotFitTheTensorsAreTold) {
  EXPECT_EQ(gptq_error(small_layer(), {.bits = 8, .group_size = 8}),
            "[gptq] model.safetensors: 'up_proj.g_idx' is int32 [8], expected int32 [4] (4 inputs "
            "in groups of 8, 8 outputs, 8 bits).");
}

TEST(GptqErrors, AGroupThatIsNotThereIsTold) {
  auto weight = small_layer();
  weight.g_idx[5] = 1;
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.g_idx' has 1 at 5, expected 0 to 0.");
  weight.g_idx[5] = -1;
  EXPECT_EQ(gptq_error(weight),
            "[gptq] model.safetensors: 'up_proj.g_idx' has -1 at 5, expected 0 to 0.");
}

TEST(AwqErrors, AreToldInTheSameWay) {
  auto weight = small_layer();
  weight.qweight = at::zeros({8, 1}, at::kInt);
  EXPECT_EQ(awq_error(weight, {.group_size = 4}),
            "[awq] model.safetensors: 'up_proj.scales' is float16 [1, 8], expected float16 [2, 8] "
            "(8 inputs in groups of 4, 8 outputs, 4 bits).");
  weight.qzeros = at::zeros({1, 1}, at::kShort);
  EXPECT_EQ(awq_error(weight),
            "[awq] model.safetensors: 'up_proj.qzeros' is int16 [1, 1], expected int32 [1, 1] (8 "
            "inputs in groups of 8, 8 outputs, 4 bits).");
  weight.qweight = at::zeros({8, 1}, at::kShort);
  EXPECT_EQ(awq_error(weight),
            "[awq] model.safetensors: 'up_proj.qweight' is int16 [8, 1], expected int32 [inputs, "
            "outputs * 4 / 32].");
}

}  // namespace grouped_weights_test
}  // namespace cpx::quant
