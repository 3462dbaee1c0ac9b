// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens, D model, F feed-forward, H heads, E head size.
#include "cpx/kernels/elementwise.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace elementwise_test {

using testing_support::equals_finite_differences;
using testing_support::equals_formula;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::random_tensor;
using testing_support::TensorFunction;
using torch::Tensor;

void expect_operator(const TensorFunction& kernel, const TensorFunction& formula,
                     const std::vector<Tensor>& inputs) {
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
    EXPECT_TRUE(equals_formula(kernel, formula, inputs, dtype)) << dtype;
  }
  EXPECT_TRUE(equals_finite_differences(kernel, inputs));
}

// Sizes: less than a vector register, several, and with a rest.
class RowSize : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, RowSize, testing::Values(1, 6, 16, 37), testing_support::by_value);

TEST_P(RowSize, RmsNormEqualsTheFormula) {
  constexpr double kEpsilon = 1e-2;  // large enough to be seen
  // Rounded to bfloat16, so that the weight is the same in every type.
  const auto weight = random_tensor({GetParam()}, 5).to(torch::kBFloat16);
  expect_operator(
      [&](const std::vector<Tensor>& x) {
        return rms_norm(x[0], weight.to(x[0].scalar_type()), kEpsilon);
      },
      [&](const std::vector<Tensor>& x) {
        const auto mean_square = x[0].pow(2).mean(-1, /*keepdim=*/true);
        return weight.to(torch::kFloat64) * x[0] / (mean_square + kEpsilon).sqrt();
      },
      {random_tensor({5, GetParam()}, 6)});
}

TEST_P(RowSize, SwigluEqualsTheFormula) {
  expect_operator([](const std::vector<Tensor>& x) { return swiglu(x[0], x[1]); },
                  [](const std::vector<Tensor>& x) { return x[0] * at::sigmoid(x[0]) * x[1]; },
                  {random_tensor({5, GetParam()}, 7), random_tensor({5, GetParam()}, 8)});
}

TEST_P(RowSize, RotateEqualsTheComplexProduct) {
  const int64_t half = GetParam();
  const auto angle = random_tensor({4, half}, 9);
  // Rounded to bfloat16, so that the tables are the same in every type.
  const auto cosine = angle.cos().to(torch::kBFloat16).to(torch::kFloat64);
  const auto sine = angle.sin().to(torch::kBFloat16).to(torch::kFloat64);
  expect_operator([&](const std::vector<Tensor>& x) { return rotate(x[0], cosine, sine); },
                  [&](const std::vector<Tensor>& x) {
                    const auto number =
                        at::complex(x[0].narrow(2, 0, half), x[0].narrow(2, half, half));
                    const auto turned = number * at::complex(cosine, sine).unsqueeze(1);
                    return at::cat({at::real(turned), at::imag(turned)}, 2);
                  },
                  {random_tensor({4, 3, 2 * half}, 10)});
}

TEST(Rotate, AVectorTurnedByAQuarter) {
  // (x_0, x_1) = (2, 3) turned by 90 degrees is (-3, 2).
  const auto turned =
      rotate(at::tensor({2.0F, 3.0F}).view({1, 1, 2}), at::zeros({1, 1}), at::ones({1, 1}));
  EXPECT_TRUE(at::equal(turned.view({2}), at::tensor({-3.0F, 2.0F})));
}

TEST(RmsNorm, TheFrozenWeightGetsNoGradient) {
  auto x = random_tensor({3, 4}, 1).requires_grad_(true);
  auto weight = at::ones({4}, at::kDouble).requires_grad_(true);
  rms_norm(x, weight, 1e-5).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST(Swiglu, OnlyTheInputThatAsksForItGetsAGradient) {
  const auto gate = random_tensor({3, 4}, 1);
  auto up = random_tensor({3, 4}, 2).requires_grad_(true);
  swiglu(gate, up).sum().backward();
  EXPECT_TRUE(is_close(up.grad(), at::silu(gate)));
  EXPECT_FALSE(gate.grad().defined());
}

TEST(Swiglu, GatesFarFromZeroAreExactInFloat32) {
  const auto gate = at::tensor({-200.0F, -90.0F, -87.0F, -20.0F, -1e-6F, 0.0F, 20.0F, 90.0F, 3e4F});
  const auto expected = at::silu(gate.to(torch::kFloat64));
  const auto actual = swiglu(gate, at::ones_like(gate)).to(torch::kFloat64);
  // Relative to each number, but for those that float32 cannot tell from zero.
  const auto limit = 1e-6 * expected.abs() + 1e-35;
  EXPECT_TRUE((actual - expected).abs().le(limit).all().item<bool>()) << actual;
}

TEST(Swiglu, NumbersThatAreNoneAreNotHidden) {
  const auto bad = at::tensor({std::nanf(""), 1.0F});
  EXPECT_TRUE(swiglu(bad, at::ones({2}))[0].isnan().item<bool>());
  EXPECT_TRUE(swiglu(at::ones({2}), bad)[0].isnan().item<bool>());
}

TEST(Elementwise, NothingToTrainRecordsNoGraph) {
  const auto x = random_tensor({3, 4}, 1);
  const auto table = at::ones({3, 1}, at::kDouble);
  EXPECT_FALSE(rms_norm(x, at::ones({4}, at::kDouble), 1e-5).requires_grad());
  EXPECT_FALSE(swiglu(x, x).requires_grad());
  EXPECT_FALSE(rotate(x.view({3, 2, 2}), table, table).requires_grad());
}

TEST(Elementwise, StridedInputsAndGradientsAreRead) {
  const auto packed = random_tensor({6, 8}, 3);
  const auto gate = packed.narrow(1, 0, 4);
  const auto up = packed.narrow(1, 4, 4);
  EXPECT_TRUE(is_close(swiglu(gate, up), swiglu(gate.contiguous(), up.contiguous())));
  const auto weight = random_tensor({4}, 4);
  EXPECT_TRUE(is_close(rms_norm(up, weight, 1e-5), rms_norm(up.contiguous(), weight, 1e-5)));
  auto x = up.detach().clone().requires_grad_(true);
  rms_norm(x, weight, 1e-5).t().contiguous().t().sum().backward();
  const auto expected = x.grad().clone();
  x.mutable_grad().zero_();
  rms_norm(x, weight, 1e-5).backward(at::ones({1, 1}, at::kDouble).expand({6, 4}));
  EXPECT_TRUE(is_close(x.grad(), expected));
}

TEST(ElementwiseErrors, NameTheShapes) {
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              rms_norm(at::zeros({2, 3}), at::zeros({4}), 1e-5);
            }),
            "[rms_norm] shapes do not fit: got x [2, 3] and weight [4], expected [..., D] and "
            "[D].");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              swiglu(at::zeros({2, 3}), at::zeros({2, 4}));
            }),
            "[swiglu] shapes differ: got gate [2, 3] and up [2, 4].");
  EXPECT_EQ(message_of<std::invalid_argument>([] {
              rotate(at::zeros({2, 3, 4}), at::zeros({2, 1}), at::zeros({2, 1}));
            }),
            "[rotate] shapes do not fit: got x [2, 3, 4], cosine [2, 1], sine [2, 1], expected "
            "[T, H, E] and twice [T, E/2].");
}

}  // namespace elementwise_test
}  // namespace cpx::kernels
