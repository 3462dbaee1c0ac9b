// SPDX-License-Identifier: Apache-2.0
// Checks of an operator with a hand-written gradient: against a plain formula that LibTorch
// differentiates, and against finite differences.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

namespace cpx::testing_support {

/// An operator: some tensors to one.
using TensorFunction = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

/// Standard normal numbers in float64; the same for the same seed.
torch::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed);

/// The output, and the gradients of sum(w * output) for fixed random weights w.
struct Derivatives {
  torch::Tensor output;
  std::vector<torch::Tensor> gradients;
};

/// The derivatives of `function` at `inputs`, all of which take gradients.
Derivatives derivatives_of(const TensorFunction& function,
                           const std::vector<torch::Tensor>& inputs);

/// Success when output and gradients of `function` equal those of `formula`, which is computed in
/// float64, at float64 `inputs` that are first rounded to `dtype`.
testing::AssertionResult equals_formula(const TensorFunction& function,
                                        const TensorFunction& formula,
                                        const std::vector<torch::Tensor>& inputs,
                                        torch::Dtype dtype);

/// Success when the gradients of `function` at float64 `inputs` equal central differences, and so
/// in float32, where the CPU has kernels of its own: there with a larger step and tolerance.
testing::AssertionResult equals_finite_differences(const TensorFunction& function,
                                                   const std::vector<torch::Tensor>& inputs);

}  // namespace cpx::testing_support
