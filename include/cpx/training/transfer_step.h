// SPDX-License-Identifier: Apache-2.0
// The transfer objective (from a toxic wording on to the neutral reference) as a step task.
#pragma once

#include <memory>

#include "cpx/objectives/transfer.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

/// The transfer objective on groups that have their input, a positive and a hard negative or more;
/// data::transfer_items says what is made of them. The evaluation loss is over the concatenations
/// as in training; its perplexities are those of the drawn neutral and toxic texts by themselves,
/// scored beside them. Throws std::invalid_argument for groups without hard negatives.
std::unique_ptr<GroupStep> transfer_step(const GroupData& data,
                                         const objectives::TransferOptions& options);

}  // namespace cpx::training
