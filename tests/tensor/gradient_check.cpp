// SPDX-License-Identifier: Apache-2.0
#include "tests/tensor/gradient_check.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "cpx/core/random.h"
#include "tests/tensor/close.h"

namespace cpx::testing_support {

namespace {

using torch::Tensor;

constexpr uint64_t kWeightSeed = 77;
constexpr double kStep = 1e-5;
// Error of a central difference with kStep, relative to the largest gradient.
constexpr double kDifferenceTolerance = 1e-7;

Tensor central_differences(const TensorFunction& function, const std::vector<Tensor>& inputs,
                           size_t index) {
  const torch::NoGradGuard no_grad;
  auto moved = inputs;
  moved[index] = inputs[index].detach().clone();
  auto differences = at::empty_like(moved[index]);
  double* values = moved[index].mutable_data_ptr<double>();
  double* results = differences.mutable_data_ptr<double>();
  const auto weights = random_tensor(function(inputs).sizes(), kWeightSeed);
  const auto weighted_sum = [&] { return (function(moved) * weights).sum().item<double>(); };
  for (int64_t i = 0; i < differences.numel(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const double above = weighted_sum();
    values[i] = value - kStep;
    const double below = weighted_sum();
    values[i] = value;
    results[i] = (above - below) / (2.0 * kStep);
  }
  return differences;
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
  for (const Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_(true));
  }
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
  const auto actual = derivatives_of(function, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto expected = central_differences(function, inputs, i);
    const double largest = expected.abs().max().item<double>();
    const double error = (actual.gradients[i] - expected).abs().max().item<double>();
    if (!(error <= kDifferenceTolerance * largest)) {
      return testing::AssertionFailure() << fmt::format(
                 "gradient of input {}: max|a - b| is {:.3e}, expected at most {:.0e} * {:.3e}", i,
                 error, kDifferenceTolerance, largest);
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace cpx::testing_support
