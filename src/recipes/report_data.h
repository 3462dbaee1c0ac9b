// SPDX-License-Identifier: Apache-2.0
// How many files and records a run's data are, for the facts of its page.
#pragma once

#include "cpx/report/run_record.h"

namespace cpx::recipes {

/// Adds to the facts about training and evaluation data how many files they are and how many
/// records these have now; data that are not found from the working folder are said to be so.
void add_data_counts(report::RunRecord& run);

}  // namespace cpx::recipes
