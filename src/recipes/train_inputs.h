// SPDX-License-Identifier: Apache-2.0
// What follows from a config before a run: the adapter's shape, the run's length.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpx/recipes/train.h"
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// Takes rank, alpha and targets over from adapter.init_from where it is given.
void adopt_adapter(TrainConfig& config);

/// What is allowed but probably not meant: train_config_notices(), and flags without effect.
std::vector<std::string> run_notices(const TrainCommand& command, const TrainConfig& config);

/// Optimizer steps in an epoch, and of the whole run.
struct RunLength {
  int64_t micro_batches_per_epoch = 0;
  int64_t steps_per_epoch = 0;
  int64_t total_steps = 0;
};

/// `num_units` are what an epoch has of what training.groups counts; all is 0 where no micro batch
/// is full and data.drop_last is set.
RunLength run_length(const TrainConfig& config, int64_t num_units);

/// Throws ConfigError where an epoch has no micro batch; `unit_name` is "groups" or the like.
void check_has_steps(const TrainConfig& config, int64_t num_units, std::string_view unit_name);

}  // namespace cpx::recipes
