// SPDX-License-Identifier: Apache-2.0
// The folder of a run at its start: is it free, and what does a resume go on from?
#pragma once

#include <filesystem>
#include <optional>

#include "cpx/recipes/train.h"
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// Decides from --resume, --overwrite and what stands in training.output. Returns the checkpoint to
/// go on from, or nothing for a fresh start; removes the old run for --overwrite. Throws
/// ConfigError where a run stands in the way, where the checkpoint's run has another config (all
/// differences), and DataError where there is nothing to resume or the folder cannot be made.
/// On resume `model.dtype: auto` becomes what the run has computed in: measured anew, it might come
/// out otherwise.
std::optional<std::filesystem::path> prepare_run_folder(const TrainCommand& command,
                                                        TrainConfig& config);

}  // namespace cpx::recipes
