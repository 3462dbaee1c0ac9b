// SPDX-License-Identifier: Apache-2.0
// Plain texts, prompts with completions and conversations: the data of supervised fine-tuning that
// are no contrast shards.
#pragma once

#include <memory>

#include "train_data.h"

namespace cpx::recipes {

/// The data of a run that are read as `contrast` where its files hold contrast records, else as
/// texts of one side. `config` must outlive them.
std::unique_ptr<RunData> supervised_run_data(const TrainConfig& config,
                                             std::unique_ptr<RunData> contrast);

}  // namespace cpx::recipes
