// SPDX-License-Identifier: Apache-2.0
// A packed batch through a model: to token NLLs, and the objective's gradient back.
// Legend: T tokens, N predictions, D model.
#pragma once

#include <vector>

#include <torch/types.h>

#include "cpx/data/packed_batch.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::training {

/// Token NLL of the batch's predictions, [N], on the model's device.
torch::Tensor token_nll(nn::CausalLm& model, const data::PackedBatch& batch,
                        const nn::ForwardOptions& options);

/// The numbers of a [N] tensor.
std::vector<double> to_doubles(const torch::Tensor& values);

/// Adds to the trainable tensors' gradients what d loss / d nll, `gradient` [N], gives.
void backward(const torch::Tensor& nll, const std::vector<double>& gradient);

}  // namespace cpx::training
