// SPDX-License-Identifier: Apache-2.0
// Legend: N states, D model.
#include "cpx/training/value_head.h"

#include <cmath>
#include <gmock/gmock.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/formats/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tensors.h"
#include "tiny_run.h"

namespace cpx::training {
namespace value_head_test {

using testing::HasSubstr;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using torch::Tensor;

constexpr int64_t kStates = 6;
constexpr int64_t kHidden = 5;

Tensor weight_of(const ValueHead& head) { return head.parameters()[0].value.detach(); }
Tensor bias_of(const ValueHead& head) { return head.parameters()[1].value.detach(); }

ValueHead head_of(const ValueHeadOptions& options, int64_t hidden_size = kHidden) {
  return {hidden_size, torch::kCPU, options};
}

std::string error_of(const std::function<void()>& action) {
  return message_of<DataError>([&] { action(); });
}

// Uniform in +-1/sqrt(D): its deviation is 1/sqrt(3 D).
TEST(ValueHead, BeginsAsTorchsLinear) {
  const auto head = head_of({}, 4096);
  const auto weight = weight_of(head);
  EXPECT_EQ(weight.sizes(), (std::vector<int64_t>{1, 4096}));
  EXPECT_LE(weight.abs().max().item<double>(), 1.0 / 64.0);
  EXPECT_NEAR(weight.std().item<double>(), 1.0 / (64.0 * std::sqrt(3.0)), 3e-4);
  EXPECT_LE(bias_of(head).abs().item<double>(), 1.0 / 64.0);
  EXPECT_NE(bias_of(head).item<double>(), 0.0);
}

TEST(ValueHead, BeginsNormalWithoutABias) {
  const auto head = head_of({.init = ValueHeadOptions::Init::kNormal, .init_std = 0.2}, 4096);
  EXPECT_NEAR(weight_of(head).std().item<double>(), 0.2, 0.01);
  EXPECT_NEAR(weight_of(head).mean().item<double>(), 0.0, 0.01);
  EXPECT_EQ(bias_of(head).item<double>(), 0.0);
}

TEST(ValueHead, ItsBeginningIsAFunctionOfTheSeed) {
  EXPECT_TRUE(weight_of(head_of({.seed = 1})).equal(weight_of(head_of({.seed = 1}))));
  EXPECT_FALSE(weight_of(head_of({.seed = 1})).equal(weight_of(head_of({.seed = 2}))));
}

TEST(ValueHead, EqualsTheFormula) {
  const auto head = head_of({});
  const auto hidden = random_tensor({kStates, kHidden}, 1).to(at::kFloat);
  std::vector<double> expected;
  for (int64_t i = 0; i < kStates; ++i) {
    double value = bias_of(head).item<double>();
    for (int64_t j = 0; j < kHidden; ++j) {
      value += hidden[i][j].item<double>() * weight_of(head)[0][j].item<double>();
    }
    expected.push_back(value);
  }
  EXPECT_TRUE(is_close(head.forward(hidden, {}), at::tensor(expected, at::kDouble), at::kFloat));
  const auto of_half = head.forward(hidden.to(at::kBFloat16), {});
  EXPECT_EQ(of_half.scalar_type(), at::kFloat);
  EXPECT_TRUE(is_close(of_half, at::tensor(expected, at::kDouble), at::kBFloat16));
}

// V = sum_j mask_ij h_ij w_j + b: dV_i/dh_ij = mask_ij w_j, dV/dw_j = sum_i c_i mask_ij h_ij,
// dV/db = sum_i c_i. The mask is read off values of unit vectors.
TEST(ValueHead, GradientsAreThoseOfTheDroppedStates) {
  const auto head = head_of({.dropout = 0.4});
  const nn::ForwardOptions training{.is_training = true, .dropout_key = 7};
  auto hidden = random_tensor({kStates, kHidden}, 1).to(at::kFloat).requires_grad_(true);
  const auto weights = random_tensor({kStates}, 2).to(at::kFloat);
  head.forward(hidden, training).backward(weights);

  auto mask = at::zeros({kStates, kHidden});
  {
    const torch::NoGradGuard no_grad;
    for (int64_t j = 0; j < kHidden; ++j) {
      auto unit = at::zeros({kStates, kHidden});
      unit.select(1, j).fill_(1.0);
      mask.select(1, j).copy_((head.forward(unit, training) - bias_of(head)) /
                              weight_of(head)[0][j]);
    }
  }
  const auto rows = weights.unsqueeze(1);
  EXPECT_TRUE(is_close(hidden.grad(), rows * mask * weight_of(head)));
  EXPECT_TRUE(is_close(head.parameters()[0].value.grad(),
                       (rows * mask * hidden.detach()).sum(0, /*keepdim=*/true)));
  EXPECT_TRUE(is_close(head.parameters()[1].value.grad(), weights.sum().unsqueeze(0)));
  // Each is 0 or 1 / (1 - 0.4), and both occur.
  EXPECT_NEAR(mask.max().item<double>(), 1.0 / 0.6, 1e-5);
  EXPECT_EQ(mask.min().item<double>(), 0.0);
}

TEST(ValueHead, GradientMatchesFiniteDifference) {
  const auto head = head_of({.dropout = 0.0});
  auto hidden = random_tensor({kStates, kHidden}, 3).to(at::kFloat).requires_grad_(true);
  (head.forward(hidden, {.is_training = true}).square().sum() * 0.5).backward();
  const torch::NoGradGuard no_grad;
  const auto loss = [&] { return 0.5 * head.forward(hidden, {}).square().sum().item<double>(); };
  constexpr double kStep = 1e-2;
  for (const Tensor& tensor : {hidden, head.parameters()[0].value, head.parameters()[1].value}) {
    auto flat = tensor.detach().view(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const auto before = flat[i].clone();
      flat[i] = before + kStep;
      const double above = loss();
      flat[i] = before - kStep;
      const double below = loss();
      flat[i] = before;
      EXPECT_NEAR(tensor.grad().view(-1)[i].item<double>(), (above - below) / (2 * kStep), 2e-3);
    }
  }
}

TEST(ValueHead, DropoutIsForTrainingAlone) {
  const auto head = head_of({.dropout = 0.5}, 64);
  const auto hidden = random_tensor({kStates, 64}, 4).to(at::kFloat);
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(head.forward(hidden, {}).equal(head_of({.dropout = 0.0}, 64).forward(hidden, {})));
  const auto first = head.forward(hidden, {.is_training = true, .dropout_key = 1});
  EXPECT_FALSE(first.equal(head.forward(hidden, {})));
  EXPECT_TRUE(first.equal(head.forward(hidden, {.is_training = true, .dropout_key = 1})));
  EXPECT_FALSE(first.equal(head.forward(hidden, {.is_training = true, .dropout_key = 2})));
}

TEST(ValueHead, FileGivesItBackBitForBit) {
  const auto folder = fresh_folder();
  const auto head = head_of({.seed = 1});
  head.write(folder);
  auto other = head_of({.seed = 2});
  other.read(folder);
  EXPECT_TRUE(weight_of(other).equal(weight_of(head)));
  EXPECT_TRUE(bias_of(other).equal(bias_of(head)));
}

TEST(ValueHead, FilesThatDoNotFitAreNamed) {
  const auto folder = fresh_folder();
  head_of({}, 7).write(folder);
  auto head = head_of({});
  EXPECT_THAT(error_of([&] { head.read(folder); }),
              HasSubstr("value_head.safetensors: 'v_head.summary.weight' is [1, 7], expected [1, "
                        "5] (from the model's hidden size)."));
  formats::write_safetensors(folder / "value_head.safetensors",
                             std::vector<formats::NamedTensor>{{"other", at::zeros({1})}});
  EXPECT_THAT(error_of([&] { head.read(folder); }),
              HasSubstr("'v_head.summary.weight' is missing. It is no value head."));
}

}  // namespace value_head_test
}  // namespace cpx::training
