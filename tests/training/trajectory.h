// SPDX-License-Identifier: Apache-2.0
// Three optimizer steps of a peer, and whether a task goes the same way: tests/fixtures/training,
// made by scripts/fixtures/make_training.py, make_preference_training.py and
// make_variant_training.py.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "cpx/formats/safetensors.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

constexpr int64_t kNumSteps = 3;

/// A variant's description and tensors.
struct Fixture {
  nlohmann::json json;
  std::shared_ptr<const formats::SafetensorsFile> tensors;

  explicit Fixture(const std::string& variant);

  /// A whole number of the objective.
  int64_t count(const char* name) const { return json["objective"][name]; }
};

/// Trains the fixture's model on `task`: losses (without their constant) to 1e-5, gradient norms to
/// 1e-4 of theirs, and each tensor's change in all steps to 1e-3 of it.
void expect_trajectory(const Fixture& fixture, StepTask& task, int64_t accumulate);

/// The first step's gradient before clipping: max|a - b| <= 1e-5 max|b| for each tensor.
void expect_first_gradient(const Fixture& fixture, StepTask& task, int64_t accumulate);

}  // namespace cpx::training
