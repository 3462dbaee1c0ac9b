// SPDX-License-Identifier: Apache-2.0
// What PPO needs to go on besides weights and optimizer: ppo_state.json and rollout.safetensors of
// a checkpoint.
#pragma once

#include <filesystem>

#include "cpx/objectives/ppo_rewards.h"
#include "cpx/training/rollout.h"

namespace cpx::training {

struct PpoState {
  Rollout rollout = {};     // the last one; its number is -1 before the first
  bool is_told = true;      // its samples are in samples.jsonl
  bool is_stopped = false;  // its other passes are skipped
  double kl_coef = 0.0;     // of the next rollout
  objectives::RunningMoments moments = {};
};

/// Throw DataError that names the file and what is wrong with it.
void write_ppo_state(const std::filesystem::path& folder, const PpoState& state);
PpoState read_ppo_state(const std::filesystem::path& folder);

}  // namespace cpx::training
