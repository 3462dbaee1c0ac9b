// SPDX-License-Identifier: Apache-2.0
// Supervised fine-tuning on the neutral texts of contrast shards, as a step task.
#pragma once

#include <memory>

#include "cpx/training/group_step.h"

namespace cpx::training {

/// The mean NLL of the drawn neutral texts' predicted tokens over an optimizer step. Evaluation
/// takes the loss of the records' first neutral texts, and beside them scores as many toxic ones
/// (fewer where a record has fewer) for perplexities, ratio and separation.
std::unique_ptr<GroupStep> sft_step(const GroupData& data);

}  // namespace cpx::training
