// SPDX-License-Identifier: Apache-2.0
// Next-token distributions that a loss draws to those of the base, over the whole vocabulary.
// Legend: M rows, D model.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "cpx/data/packed_batch.h"
#include "cpx/nn/causal_lm.h"

namespace cpx::training {

/// Predictions of a micro batch whose distributions are held.
struct HeldDistributions {
  std::vector<int64_t> predictions = {};  // indices among the batch's
  double weight = 0.0;                    // of the sum of their KL(base || policy)
};

/// The weighted sum of KL(base || policy), without gradient. The base is the model with its adapter
/// off.
double held_loss(nn::CausalLm& model, const data::PackedBatch& batch,
                 const HeldDistributions& held);

/// The same with its gradient: adds that of the head's adapter where it has one, and at the rows of
/// `gradient` [N, D] that of `states` [N, D], the policy's states of all predictions. Computes
/// logits a piece of rows at a time.
double add_held_gradient(nn::CausalLm& model, const data::PackedBatch& batch,
                         const HeldDistributions& held, const nn::ForwardOptions& options,
                         const torch::Tensor& states, torch::Tensor& gradient);

}  // namespace cpx::training
