// SPDX-License-Identifier: Apache-2.0
// The prototype objective (contrast around the input sentence) as a step task.
#pragma once

#include <memory>

#include "cpx/objectives/prototype.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

/// The prototype objective on groups that have their input. Evaluation compares the perplexity of
/// the toxic and the neutral texts; inputs are on neither side.
std::unique_ptr<GroupStep> prototype_step(const GroupData& data,
                                          const objectives::PrototypeOptions& options);

}  // namespace cpx::training
