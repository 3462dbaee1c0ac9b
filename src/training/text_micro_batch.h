// SPDX-License-Identifier: Apache-2.0
// A micro batch of drawn texts as they are.
#pragma once

#include <memory>
#include <span>

#include "cpx/training/group_step.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

/// Encodes and packs the texts of `groups`; their loss is `loss`.
std::unique_ptr<PackedMicroBatch> make_text_batch(GroupSource& source,
                                                  std::span<const data::DrawnGroup> groups,
                                                  const TextLoss& loss);

}  // namespace cpx::training
