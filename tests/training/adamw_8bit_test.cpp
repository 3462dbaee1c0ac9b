// SPDX-License-Identifier: Apache-2.0
// AdamW with its averages in 8 bits, beside numbers of bitsandbytes' rules (make_adamw_8bit.py).
#include "cpx/training/adamw_8bit.h"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/training/adamw.h"
#include "tests/support/errors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace adamw_8bit_test {

using testing_support::message_of;
using StateTensors = std::map<std::string, torch::Tensor>;

const torch::Device kCpu(torch::kCPU);

// As in make_adamw_8bit.py.
constexpr AdamWOptions kOptions{
    .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .has_8bit_state = true};
constexpr double kRate = 0.02;
constexpr int64_t kNumSteps = 3;
constexpr const char* kName = "q_proj.lora_A.weight";

const formats::SafetensorsFile& fixture() {
  static const auto file = formats::SafetensorsFile::open(
      std::filesystem::path(CPX_SOURCE_DIR) / "tests/fixtures/training/adamw_8bit.safetensors");
  return *file;
}

torch::Tensor stored(const std::string& name) { return fixture().tensor(name).clone(); }

// One parameter of the fixture's shape, [33, 130]: 17 blocks, the last of 194 values.
std::vector<nn::NamedParameter> fixture_parameter() {
  return {{kName, stored("weights.0").requires_grad_()}};
}

void step(AdamW& optimizer, int64_t number) {
  for (const auto& parameter : optimizer.parameters()) {
    parameter.value.mutable_grad() = stored(fmt::format("gradient.{}", number));
  }
  optimizer.step(kRate);
}

StateTensors state_of(const AdamW& optimizer) {
  StateTensors tensors;
  for (const auto& tensor : optimizer.state()) tensors[tensor.name] = tensor.value;
  return tensors;
}

// ---- Codes --------------------------------------------------------------------------------------

TEST(CodeMap, ValuesAreThoseOfBitsandbytes) {
  EXPECT_TRUE(signed_code_map(kCpu).values.equal(stored("signed_map")));
  EXPECT_TRUE(unsigned_code_map(kCpu).values.equal(stored("unsigned_map")));
}

// The largest value is 1, so that the values are multiplied by 1.
TEST(CodeMap, EachValueHasItsOwnCode) {
  for (const CodeMap& map : {signed_code_map(kCpu), unsigned_code_map(kCpu)}) {
    const auto quantized = quantize_blockwise(map.values, map);
    EXPECT_TRUE(quantized.codes.equal(at::arange(256).to(at::kByte)));
    EXPECT_EQ(quantized.absmax.item().toDouble(), 1.0);
    EXPECT_TRUE(dequantize_blockwise(quantized, map).equal(map.values));
  }
}

// Numbers in front of a block's 1, which is its last value.
torch::Tensor codes_of(const std::vector<float>& numbers, const CodeMap& map) {
  auto block = at::zeros({kStateBlock});
  block[kStateBlock - 1] = 1.0;
  block.narrow(0, 0, std::ssize(numbers)).copy_(at::tensor(numbers));
  return quantize_blockwise(block, map).codes.narrow(0, 0, std::ssize(numbers));
}

TEST(CodeMap, CodesAreTheNearest) {
  const CodeMap map = unsigned_code_map(kCpu);
  const auto numbers = at::rand({kStateBlock - 1}, at::make_generator<at::CPUGeneratorImpl>(5));
  const std::vector<float> list(numbers.data_ptr<float>(),
                                numbers.data_ptr<float>() + numbers.numel());
  const auto distances = (numbers.unsqueeze(1) - map.values).abs();
  EXPECT_TRUE(codes_of(list, map).to(at::kLong).equal(distances.argmin(1)));
}

TEST(CodeMap, HalfwayBetweenTwoTheEvenCodeIsTaken) {
  const CodeMap map = signed_code_map(kCpu);
  const float* values = map.values.const_data_ptr<float>();
  const auto middle = [&](size_t code) { return (values[code] + values[code + 1]) * 0.5F; };
  EXPECT_TRUE(codes_of({middle(200), middle(201), middle(30), middle(31)}, map)
                  .equal(at::tensor({200, 202, 30, 32}).to(at::kByte)));
}

// The code of 0 is 127.
TEST(CodeMap, ANegativeNumberKeepsItsSignAndAPositiveOneMayBecomeZero) {
  EXPECT_TRUE(codes_of({-1e-9F, 1e-9F, 0.0F, -1e-30F}, signed_code_map(kCpu))
                  .equal(at::tensor({126, 127, 127, 126}).to(at::kByte)));
}

TEST(Blockwise, ABlockOfZerosStaysOne) {
  const CodeMap map = signed_code_map(kCpu);
  auto values = at::ones({3 * kStateBlock});
  values.narrow(0, kStateBlock, kStateBlock).zero_();
  const auto quantized = quantize_blockwise(values, map);
  EXPECT_TRUE(quantized.absmax.equal(at::tensor({1.0F, 0.0F, 1.0F})));
  EXPECT_TRUE(dequantize_blockwise(quantized, map).equal(values));
}

TEST(Blockwise, TheLastBlockMayBeShort) {
  const CodeMap map = unsigned_code_map(kCpu);
  const auto values = at::cat({at::full({kStateBlock}, 4.0F), at::full({2}, 0.5F)}).view({2, 129});
  const auto quantized = quantize_blockwise(values, map);
  EXPECT_EQ(quantized.codes.sizes(), values.sizes());
  EXPECT_TRUE(quantized.absmax.equal(at::tensor({4.0F, 0.5F})));
  EXPECT_TRUE(dequantize_blockwise(quantized, map).equal(values));
}

// ---- Steps --------------------------------------------------------------------------------------

TEST(AdamW8bit, CodesEqualTheFixturesAndWeightsToo) {
  AdamW optimizer(fixture_parameter(), kOptions);
  for (int64_t number = 0; number < kNumSteps; ++number) {
    step(optimizer, number);
    StateTensors state = state_of(optimizer);
    for (const std::string average : {"exp_avg", "exp_avg_sq"}) {
      for (const std::string part : {"codes", "absmax"}) {
        EXPECT_TRUE(state[fmt::format("{}.{}.{}", kName, average, part)].equal(
            stored(fmt::format("{}.{}.{}", average, part, number + 1))))
            << average << " " << part << " after step " << number + 1;
      }
    }
    const auto weights = stored(fmt::format("weights.{}", number + 1));
    const auto& ours = optimizer.parameters().front().value;
    EXPECT_LE((ours - weights).abs().max().item().toDouble(),
              1e-6 * weights.abs().max().item().toDouble());
  }
}

// B learns faster: the same gradients move it further.
TEST(AdamW8bit, TheRatioOfLoraPlusHoldsForItToo) {
  AdamWOptions options = kOptions;
  options.weight_decay = 0.0;
  options.lora_plus_ratio = 4.0;
  const auto start = stored("weights.0");
  AdamW optimizer({{kName, start.clone().requires_grad_()},
                   {"q_proj.lora_B.weight", start.clone().requires_grad_()}},
                  options);
  step(optimizer, 0);
  const auto& moved = optimizer.parameters();
  const auto expected = (moved[0].value.detach() - start) * 4.0;
  EXPECT_LE((moved[1].value.detach() - start - expected).abs().max().item().toDouble(), 1e-5);
  EXPECT_GT(expected.abs().max().item().toDouble(), 0.05);
}

TEST(AdamW8bit, TensorsBelow4096ValuesAreThoseOfAdamwBitForBit) {
  const auto train = [](bool has_8bit_state) {
    const auto values = stored("weights.0").flatten().narrow(0, 0, kMin8BitValues - 1);
    AdamWOptions options = kOptions;
    options.has_8bit_state = has_8bit_state;
    AdamW optimizer({{kName, values.clone().requires_grad_()}}, options);
    for (int64_t number = 0; number < kNumSteps; ++number) {
      optimizer.parameters().front().value.mutable_grad() =
          stored(fmt::format("gradient.{}", number)).flatten().narrow(0, 0, kMin8BitValues - 1);
      optimizer.step(kRate);
    }
    EXPECT_EQ(state_of(optimizer).count(fmt::format("{}.exp_avg", kName)), 1);
    return optimizer.parameters().front().value.detach();
  };
  EXPECT_TRUE(train(true).equal(train(false)));
}

TEST(AdamW8bit, BytesAreThoseOfItsTensors) {
  const AdamW optimizer(fixture_parameter(), kOptions);
  int64_t bytes = 0;
  for (const auto& tensor : optimizer.state()) {
    if (tensor.name != "step") bytes += static_cast<int64_t>(tensor.value.nbytes());
  }
  EXPECT_EQ(adamw_state_bytes(33 * 130, /*has_8bit_state=*/true), bytes);
  EXPECT_EQ(bytes, 2 * (4290 + 17 * 4));
  EXPECT_EQ(adamw_state_bytes(33 * 130, /*has_8bit_state=*/false), 2 * 4290 * 4);
  EXPECT_EQ(adamw_state_bytes(4095, /*has_8bit_state=*/true), 2 * 4095 * 4);
}

// ---- Files --------------------------------------------------------------------------------------

TEST(AdamW8bit, StateFromAFileGoesOnBitForBit) {
  const auto file = fresh_folder() / "optimizer.safetensors";
  AdamW whole(fixture_parameter(), kOptions);
  step(whole, 0);
  step(whole, 1);
  formats::write_safetensors(file, whole.state());
  AdamW resumed({{kName, whole.parameters().front().value.detach().clone().requires_grad_()}},
                kOptions);
  resumed.load_state(*formats::SafetensorsFile::open(file));
  EXPECT_EQ(resumed.num_updates(), 2);
  step(whole, 2);
  step(resumed, 2);
  EXPECT_TRUE(whole.parameters().front().value.equal(resumed.parameters().front().value));
  for (const auto& [name, tensor] : state_of(whole)) {
    EXPECT_TRUE(tensor.equal(state_of(resumed)[name])) << name;
  }
}

std::string load_error(bool was_8bit, bool is_8bit) {
  const auto file = fresh_folder() / "optimizer.safetensors";
  const auto optimizer = [](bool has_8bit_state) {
    return AdamW(fixture_parameter(), {.has_8bit_state = has_8bit_state});
  };
  formats::write_safetensors(file, optimizer(was_8bit).state());
  AdamW other = optimizer(is_8bit);
  const std::string message =
      message_of<DataError>([&] { other.load_state(*formats::SafetensorsFile::open(file)); });
  const std::string begin = fmt::format("[optimizer state] {}: ", file.string());
  EXPECT_THAT(message, testing::StartsWith(begin));
  return message.substr(std::min(begin.size(), message.size()));
}

TEST(AdamW8bit, AStateOfTheOtherKindIsRefused) {
  EXPECT_EQ(load_error(/*was_8bit=*/false, /*is_8bit=*/true),
            "'q_proj.lora_A.weight.exp_avg' is of an average in 32 bits, expected 8 "
            "(optimizer.name adamw_8bit). Go on with the optimizer of the saved run.");
  EXPECT_EQ(load_error(/*was_8bit=*/true, /*is_8bit=*/false),
            "'q_proj.lora_A.weight.exp_avg.codes' is of an average in 8 bits, expected 32 "
            "(optimizer.name adamw). Go on with the optimizer of the saved run.");
}

}  // namespace adamw_8bit_test
}  // namespace cpx::training
