// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gradient_check.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "cpx/core/random.h"
#include "tests/support/tensors.h"

namespace cpx::testing_support {

namespace {

using torch::Tensor;

constexpr uint64_t kWeightSeed = 77;
// A central difference's step, and its error relative to the largest gradient: what the third
// derivative adds, and what rounding does to the two sums.
struct Difference {
  torch::Dtype dtype;
  double step;
  double tolerance;
};
constexpr Difference kDouble{torch::kFloat64, 1e-5, 1e-7};
constexpr Difference kFloat{torch::kFloat32, 4e-3, 2e-3};

template <class Number>
Tensor central_differences(const TensorFunction& function, const std::vector<Tensor>& inputs,
                           size_t index, double step) {
  const torch::NoGradGuard no_grad;
  auto moved = inputs;
  moved[index] = inputs[index].detach().clone();
  auto differences = at::empty(moved[index].sizes(), at::kDouble);
  Number* values = moved[index].mutable_data_ptr<Number>();
  double* results = differences.mutable_data_ptr<double>();
  const auto weights = random_tensor(function(inputs).sizes(), kWeightSeed);
  const auto weighted_sum = [&] {
    return (function(moved).to(at::kDouble) * weights).sum().item<double>();
  };
  for (int64_t i = 0; i < differences.numel(); ++i) {
    const Number value = values[i];
    const auto above = static_cast<Number>(static_cast<double>(value) + step);
    const auto below = static_cast<Number>(static_cast<double>(value) - step);
    values[i] = above;
    const double sum_above = weighted_sum();
    values[i] = below;
    const double sum_below = weighted_sum();
    values[i] = value;
    results[i] =
        (sum_above - sum_below) / (static_cast<double>(above) - static_cast<double>(below));
  }
  return differences;
}

testing::AssertionResult equals_differences(const TensorFunction& function,
                                            const std::vector<Tensor>& given,
                                            const Difference& difference) {
  std::vector<Tensor> inputs;
  for (const Tensor& input : given) inputs.push_back(input.to(difference.dtype));
  const auto actual = derivatives_of(function, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto expected = difference.dtype == torch::kFloat64
                              ? central_differences<double>(function, inputs, i, difference.step)
                              : central_differences<float>(function, inputs, i, difference.step);
    const double largest = expected.abs().max().item<double>();
    const double error = (actual.gradients[i] - expected).abs().max().item<double>();
    if (!(error <= difference.tolerance * largest)) {
      return testing::AssertionFailure() << fmt::format(
                 "gradient of input {} in {} bytes: max|a - b| is {:.3e}, expected at most {:.0e} "
                 "* "
                 "{:.3e}",
                 i, c10::elementSize(difference.dtype), error, difference.tolerance, largest);
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace

Tensor random_tensor(at::IntArrayRef shape, uint64_t seed) {
  auto result = at::empty(shape, at::kDouble);
  double* values = result.mutable_data_ptr<double>();
  CounterRng rng(seed, {});
  for (int64_t i = 0; i < result.numel(); ++i) values[i] = rng.normal();
  return result;
}

Derivatives derivatives_of(const TensorFunction& function, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves;
  for (const Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const auto output = function(leaves);
  const auto weights = random_tensor(output.sizes(), kWeightSeed).to(output.scalar_type());
  return {output.detach(), torch::autograd::grad({output}, leaves, {weights})};
}

testing::AssertionResult equals_formula(const TensorFunction& function,
                                        const TensorFunction& formula,
                                        const std::vector<Tensor>& inputs, torch::Dtype dtype) {
  std::vector<Tensor> rounded;
  std::vector<Tensor> wide;
  for (const Tensor& input : inputs) {
    rounded.push_back(input.to(dtype));
    wide.push_back(rounded.back().to(torch::kFloat64));
  }
  const auto actual = derivatives_of(function, rounded);
  const auto expected = derivatives_of(formula, wide);
  if (auto result = is_close(actual.output, expected.output, dtype); !result) {
    return result << " (output)";
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (auto result = is_close(actual.gradients[i], expected.gradients[i], dtype); !result) {
      return result << " (gradient of input " << i << ")";
    }
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult equals_finite_differences(const TensorFunction& function,
                                                   const std::vector<Tensor>& inputs) {
  if (auto result = equals_differences(function, inputs, kDouble); !result) return result;
  return equals_differences(function, inputs, kFloat);
}

}  // namespace cpx::testing_support
