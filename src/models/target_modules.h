// SPDX-License-Identifier: Apache-2.0
// The linear layers of a model by name, and those that a list of targets selects.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/models/llama.h"

namespace cpx::models {

/// A linear layer and its index among all linear layers of the model.
struct NamedLinear {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  uint64_t index = 0;
  nn::Linear layer{nullptr};
};

/// All linear layers, in order.
std::vector<NamedLinear> linear_layers(const Llama& model);

/// The layers that `target_modules` select, as in PEFT: a target is a layer's name or its last
/// parts;
/// {"all-linear"} selects all but lm_head. Targets that match nothing are ignored.
std::vector<NamedLinear> targeted_layers(const std::vector<NamedLinear>& layers,
                                         std::span<const std::string> target_modules);

}  // namespace cpx::models
