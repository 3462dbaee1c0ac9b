// SPDX-License-Identifier: Apache-2.0
// The folder of a run at its start: is it free, and what does a resume go on from?
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cpx/recipes/train.h"
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// How a run begins.
struct RunStart {
  std::optional<std::filesystem::path> checkpoint;  // what it goes on from; nothing: at step 0
  bool removes_old_run = false;                     // what stands in training.output has to go
};

/// Decides from --resume, --overwrite and what stands in training.output, and makes that folder.
/// Throws ConfigError where a run stands in the way, or where the checkpoint's run has another
/// config (all differences), and DataError where there is nothing to resume or the folder cannot be
/// made. On resume `model.dtype: auto` becomes what the run has computed in: measured anew, it
/// might come out otherwise.
RunStart prepare_run_folder(const TrainCommand& command, TrainConfig& config);

/// Removes the run in `folder`, and nothing else that lies there. Throws DataError.
void remove_run(const std::filesystem::path& folder);

/// The fault of a folder that a run could not be written to, or nothing; makes no folder.
std::optional<std::string> output_fault(const std::filesystem::path& folder);

}  // namespace cpx::recipes
