// SPDX-License-Identifier: Apache-2.0
// The tiny models of tests/fixtures/models, and what transformers generates with them.
#pragma once

#include <fstream>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "tests/support/folders.h"

namespace cpx::generation {

/// Loads a tiny model in float32, with its adapter where `with_adapter`.
inline std::shared_ptr<models::Llama> load_tiny(const std::string& name, bool with_adapter) {
  const auto folder = testing_support::fixture("models") / name;
  auto model = models::load_model(folder, torch::kFloat32, torch::kCPU);
  if (with_adapter) models::attach_adapter(*model, formats::read_peft(folder / "adapter"));
  return model;
}

/// Reads tests/fixtures/generation/`name`.json.
inline nlohmann::json read_generation(const std::string& name) {
  std::ifstream file(testing_support::fixture("generation") / (name + ".json"));
  return nlohmann::json::parse(file);
}

}  // namespace cpx::generation
