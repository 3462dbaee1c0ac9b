// SPDX-License-Identifier: Apache-2.0
#include "target_modules.h"

#include <algorithm>

namespace cpx::models {

std::vector<NamedLinear> linear_layers(const Llama& model) {
  std::vector<NamedLinear> layers;
  for (const auto& item : model.named_modules()) {
    if (auto linear = std::dynamic_pointer_cast<nn::LinearImpl>(item.value())) {
      layers.push_back({item.key(), layers.size(), nn::Linear(std::move(linear))});
    }
  }
  return layers;
}

std::vector<NamedLinear> targeted_layers(const std::vector<NamedLinear>& layers,
                                         std::span<const std::string> target_modules) {
  std::vector<NamedLinear> targeted;
  for (const NamedLinear& layer : layers) {
    const bool is_target =
        std::any_of(target_modules.begin(), target_modules.end(),
                    [&](const auto& target) { return nn::matches_target(layer.name, target); });
    if (is_target) targeted.push_back(layer);
  }
  return targeted;
}

}  // namespace cpx::models
