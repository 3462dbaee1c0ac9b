// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/adamw.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace adamw_test {

using testing::HasSubstr;
using testing_support::message_of;

constexpr AdamWOptions kOptions{
    .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1, .lora_plus_ratio = 4.0};
constexpr double kRate = 0.02;

// Two tensors of an adapter; the second one learns faster.
std::vector<nn::NamedParameter> parameters() {
  at::manual_seed(7);
  return {{"q_proj.lora_A.weight", at::randn({3, 5}).requires_grad_()},
          {"q_proj.lora_B.weight", at::randn({13, 3}).requires_grad_()}};
}

std::vector<torch::Tensor> values(const std::vector<nn::NamedParameter>& parameters) {
  std::vector<torch::Tensor> values;
  for (const auto& parameter : parameters) values.push_back(parameter.value);
  return values;
}

void set_gradients(const std::vector<torch::Tensor>& values, uint64_t seed) {
  at::manual_seed(seed);
  for (auto value : values) value.mutable_grad() = at::randn_like(value.detach());
}

torch::optim::AdamWOptions torch_options(double rate) {
  return torch::optim::AdamWOptions(rate)
      .betas({kOptions.beta1, kOptions.beta2})
      .eps(kOptions.epsilon)
      .weight_decay(kOptions.weight_decay);
}

void expect_close(const torch::Tensor& ours, const torch::Tensor& theirs) {
  const double difference = (ours - theirs).abs().max().item().toDouble();
  EXPECT_LE(difference, 1e-6 * theirs.abs().max().item().toDouble());
}

TEST(AdamW, EqualsTorchWithALearningRateForEachFactor) {
  const auto ours = parameters();
  const auto theirs = values(parameters());
  AdamW optimizer(ours, kOptions);
  torch::optim::AdamW torch_a({theirs[0]}, torch_options(kRate));
  torch::optim::AdamW torch_b({theirs[1]}, torch_options(kRate * kOptions.lora_plus_ratio));
  for (uint64_t step = 0; step < 20; ++step) {
    set_gradients(values(ours), step);
    set_gradients(theirs, step);
    optimizer.step(kRate);
    torch_a.step();
    torch_b.step();
  }
  expect_close(ours[0].value, theirs[0]);
  expect_close(ours[1].value, theirs[1]);
  EXPECT_EQ(optimizer.num_updates(), 20);
}

// First step: m = 0.1 g, v = 0.01 g^2, both bias corrected to g and g^2, so the update is
// lr * sign(g) after the decay 1 - lr * 0.1: 2 * (1 - 0.002) - 0.02 = 1.976.
TEST(AdamW, FirstStepGoesTheLearningRateFar) {
  auto value = at::full({1}, 2.0, at::kFloat).requires_grad_();
  AdamW optimizer({{"lora_A.weight", value}}, kOptions);
  value.mutable_grad() = at::full({1}, 5.0);
  optimizer.step(kRate);
  EXPECT_NEAR(value.item().toDouble(), 1.976, 1e-6);
}

TEST(AdamW, ParameterWithoutAGradientIsOnlyDecayed) {
  auto value = at::full({1}, 2.0, at::kFloat).requires_grad_();
  AdamW optimizer({{"lora_A.weight", value}}, kOptions);
  optimizer.step(kRate);
  EXPECT_NEAR(value.item().toDouble(), 2.0 * (1 - 0.002), 1e-6);
}

TEST(AdamW, StateFromAFileGoesOnBitForBit) {
  const auto folder = fresh_folder();
  const auto first = parameters();
  AdamW whole(first, kOptions);
  for (uint64_t step = 0; step < 3; ++step) {
    set_gradients(values(first), step);
    whole.step(kRate);
  }
  formats::write_safetensors(folder / "optimizer.safetensors", whole.state());

  std::vector<nn::NamedParameter> copies;
  for (const auto& parameter : first) {
    copies.push_back({parameter.name, parameter.value.detach().clone().requires_grad_()});
  }
  AdamW resumed(copies, kOptions);
  resumed.load_state(*formats::SafetensorsFile::open(folder / "optimizer.safetensors"));
  EXPECT_EQ(resumed.num_updates(), 3);
  for (uint64_t step = 3; step < 6; ++step) {
    set_gradients(values(first), step);
    whole.step(kRate);
    set_gradients(values(copies), step);
    resumed.step(kRate);
  }
  EXPECT_TRUE(first[0].value.equal(copies[0].value));
  EXPECT_TRUE(first[1].value.equal(copies[1].value));
}

std::string load_error(AdamW& optimizer, const std::vector<formats::NamedTensor>& tensors) {
  const auto file = fresh_folder() / "optimizer.safetensors";
  formats::write_safetensors(file, tensors);
  return message_of<DataError>(
      [&] { optimizer.load_state(*formats::SafetensorsFile::open(file)); });
}

TEST(AdamW, StateThatDoesNotFitIsADataErrorThatNamesTheTensor) {
  AdamW optimizer(parameters(), kOptions);
  auto missing = optimizer.state();
  missing.pop_back();
  EXPECT_THAT(load_error(optimizer, missing),
              HasSubstr("'q_proj.lora_B.weight.exp_avg_sq' is missing. It belongs to another"));
  auto other_shape = optimizer.state();
  other_shape.back().value = at::zeros({13, 4});
  EXPECT_THAT(load_error(optimizer, other_shape),
              HasSubstr("'q_proj.lora_B.weight.exp_avg_sq' is [13, 4], expected [13, 3] (from the "
                        "adapter)."));
  auto unknown = optimizer.state();
  unknown.push_back({"k_proj.lora_A.weight.exp_avg", at::zeros({1})});
  EXPECT_THAT(load_error(optimizer, unknown),
              HasSubstr("'k_proj.lora_A.weight.exp_avg' belongs to no tensor of the adapter."));
}

TEST(ClipGradNorm, EqualsTorch) {
  const auto ours = parameters();
  const auto theirs = values(parameters());
  set_gradients(values(ours), 3);
  set_gradients(theirs, 3);
  const double norm = clip_grad_norm(ours, 0.3);
  const double expected = torch::nn::utils::clip_grad_norm_(theirs, 0.3);
  EXPECT_NEAR(norm, expected, 1e-6 * expected);
  expect_close(ours[0].value.grad(), theirs[0].grad());
  expect_close(ours[1].value.grad(), theirs[1].grad());
}

// Gradients 3 and 4: length 5.
TEST(ClipGradNorm, ShortGradientsAndNoLimitLeaveThemAsTheyAre) {
  const auto tensors = parameters();
  tensors[0].value.mutable_grad() = at::zeros({3, 5});
  tensors[0].value.mutable_grad()[0][0] = 3.0;
  tensors[1].value.mutable_grad() = at::zeros({13, 3});
  tensors[1].value.mutable_grad()[2][1] = 4.0;
  EXPECT_NEAR(clip_grad_norm(tensors, 6.0), 5.0, 1e-6);
  EXPECT_NEAR(clip_grad_norm(tensors, 0.0), 5.0, 1e-6);
  EXPECT_EQ(tensors[1].value.grad()[2][1].item().toDouble(), 4.0);
  EXPECT_NEAR(clip_grad_norm(tensors, 1.0), 5.0, 1e-6);
  EXPECT_NEAR(tensors[1].value.grad()[2][1].item().toDouble(), 0.8, 1e-6);
}

TEST(ClipGradNorm, LengthThatIsNotFiniteIsToldAndChangesNothing) {
  const auto tensors = parameters();
  set_gradients(values(tensors), 3);
  const auto before = tensors[0].value.grad().clone();
  tensors[1].value.mutable_grad()[0][0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(clip_grad_norm(tensors, 0.3)));
  EXPECT_TRUE(tensors[0].value.grad().equal(before));
}

}  // namespace adamw_test
}  // namespace cpx::training
