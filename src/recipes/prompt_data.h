// SPDX-License-Identifier: Apache-2.0
// Prompts that a policy goes on from, from contrast shards or prompt files: the data of ppo.
#pragma once

#include <memory>

#include "ppo_keys.h"
#include "train_data.h"

namespace cpx::recipes {

/// The data of a run; without data.eval, evaluation takes the prompts that are held out. `config`
/// and `keys` must outlive them.
std::unique_ptr<RunData> prompt_run_data(const TrainConfig& config, const PpoKeys& keys);

}  // namespace cpx::recipes
