// SPDX-License-Identifier: Apache-2.0
// Trading time for memory: a function whose inside is computed again in the backward pass.
#pragma once

#include <functional>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace cpx::nn {

/// function(x), keeping only `x` for the backward pass, which calls `function` once more. The
/// function must return the same both times and may use no trainable tensor besides `x` and
/// `parameters`. With nothing to train it is just function(x).
torch::Tensor recomputed(std::function<torch::Tensor(const torch::Tensor&)> function,
                         const torch::Tensor& x, const std::vector<torch::Tensor>& parameters);

/// The parameters of a module that take gradients.
std::vector<torch::Tensor> trainable_parameters(const torch::nn::Module& module);

}  // namespace cpx::nn
