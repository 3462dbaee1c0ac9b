// SPDX-License-Identifier: Apache-2.0
// The files that patterns of a command stand for, as inputs that no output may replace.
#pragma once

#include <string>
#include <vector>

#include "cpx/core/output_check.h"

namespace cpx::recipes {

/// Adds what `patterns` stand for under `flag`; patterns without a file are told when they are
/// read.
void add_inputs(OutputCheck& outputs, const std::string& flag,
                const std::vector<std::string>& patterns);

}  // namespace cpx::recipes
