// SPDX-License-Identifier: Apache-2.0
// Some optimizer steps of a peer, and whether a task goes the same way: tests/fixtures/training,
// made by scripts/fixtures/make_*training.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cpx/formats/safetensors.h"
#include "cpx/models/llama.h"
#include "cpx/training/step_task.h"
#include "cpx/training/trainer.h"

namespace cpx::training {

constexpr int64_t kNumSteps = 3;  // of all but PPO's

/// A variant's description and tensors.
struct Fixture {
  nlohmann::json json;
  std::shared_ptr<const formats::SafetensorsFile> tensors;

  explicit Fixture(const std::string& variant);

  /// A whole number of the objective.
  int64_t count(const char* name) const { return json["objective"][name]; }
};

/// Trains the fixture's model on `task`: losses (without their constant) to 1e-5, or where the
/// fixture says so to the rounding of each NLL, gradient norms to 1e-4 of theirs, and each tensor's
/// change in all steps to 1e-3 of it.
void expect_trajectory(const Fixture& fixture, StepTask& task, int64_t accumulate);

/// The first step's gradient before clipping: max|a - b| <= 1e-5 max|b| for each tensor.
void expect_first_gradient(const Fixture& fixture, StepTask& task, int64_t accumulate);

// ---- Their parts --------------------------------------------------------------------------------

/// The fixture's model with its adapter.
std::shared_ptr<models::Llama> model_of(const Fixture& fixture);

/// Runs the fixture's steps, one epoch, into `output`.
void run_trainer(const Fixture& fixture, nn::CausalLm& model, StepTask& task,
                 const std::filesystem::path& output, int64_t accumulate);

/// What metrics.jsonl of `run` says of losses and gradient norms, and of those of `figures`.
void expect_equal_steps(const Fixture& fixture, const std::filesystem::path& run,
                        const std::vector<std::string>& figures = {});

/// The parameters' changes from the first step to the last.
void expect_equal_changes(const Fixture& fixture, const std::vector<nn::NamedParameter>& trained);

/// The parameters' gradients, which are those of the first step.
void expect_equal_gradients(const Fixture& fixture, const std::vector<nn::NamedParameter>& trained);

}  // namespace cpx::training
