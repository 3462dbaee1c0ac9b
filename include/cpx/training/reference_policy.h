// SPDX-License-Identifier: Apache-2.0
// The frozen policy that preference and reinforcement objectives compare with.
#pragma once

#include <optional>

#include <torch/types.h>
#include <torch/utils.h>

#include "cpx/nn/causal_lm.h"
#include "cpx/nn/forward_context.h"

namespace cpx::training {

/// Which model the reference is. Refers to models; these must outlive it.
struct ReferencePolicy {
  /// The reference itself, of which nothing is trained; null: the trained model with its adapter
  /// off.
  nn::CausalLm* model = nullptr;
};

/// While one lives, `model()` gives the reference's numbers, without gradients.
class ReferenceGuard {
 public:
  ReferenceGuard(const ReferencePolicy& reference, nn::CausalLm& trained);

  nn::CausalLm& model() const { return model_; }

 private:
  torch::NoGradGuard no_grad_;
  std::optional<nn::AdapterOffGuard> adapter_off_;
  nn::CausalLm& model_;
};

}  // namespace cpx::training
