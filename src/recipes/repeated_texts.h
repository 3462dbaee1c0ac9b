// SPDX-License-Identifier: Apache-2.0
// Texts that stand several times in a run's data, which a user should know of before the run.
#pragma once

#include <string>
#include <vector>

#include "train_data.h"

namespace cpx::recipes {

/// A line where texts of `train` stand in several places, and one where texts of `evaluation` (may
/// be null) stand in `train` too. Texts are compared as they were read.
std::vector<std::string> repetition_warnings(const TrainData& train, const TrainData* evaluation);

}  // namespace cpx::recipes
