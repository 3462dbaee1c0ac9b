// SPDX-License-Identifier: Apache-2.0
// Trades time for memory: the inside of a function is computed again in the backward pass.
#pragma once

#include <functional>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace cpx::nn {

/// Returns function(x) and keeps only `x` and a copy of `function`, which the backward pass calls
/// once more. It must return the same both times and may use no trainable tensor besides `x` and
/// `parameters`. With nothing to train this just calls function(x).
torch::Tensor recomputed(std::function<torch::Tensor(const torch::Tensor&)> function,
                         const torch::Tensor& x, const std::vector<torch::Tensor>& parameters);

/// The parameters of `module` that require gradients.
std::vector<torch::Tensor> trainable_parameters(const torch::nn::Module& module);

}  // namespace cpx::nn
