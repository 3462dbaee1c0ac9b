// SPDX-License-Identifier: Apache-2.0
// What cpx-train does instead of training. Each returns the tool's exit code.
#pragma once

#include "cpx/recipes/train.h"

namespace cpx::recipes {

/// --validate: config, data, model and adapter checked, all faults at once.
int validate_run(const TrainCommand& command);

/// --print-config: the resolved config.
int print_resolved_config(const TrainCommand& command);

/// --inspect: examples as the model sees them.
int inspect_examples(const TrainCommand& command);

/// --estimate: memory by part and tokens.
int estimate_run(const TrainCommand& command);

/// The run itself.
int train(const TrainCommand& command);

}  // namespace cpx::recipes
