// SPDX-License-Identifier: Apache-2.0
// Contrastive perplexity as a step task.
#pragma once

#include <memory>

#include "cpx/objectives/contrastive_perplexity.h"
#include "cpx/training/group_step.h"
#include "cpx/training/nll_cache.h"

namespace cpx::training {

/// Contrastive perplexity. The values of the frozen base (centroid base, hold) come from the model
/// with its adapter off. They are computed once a text and stay in memory, so a text of a later
/// epoch costs nothing; `base_cache` keeps them beyond the task (null: it does not). They are
/// computed in fixed packs of a record's neighbouring neutral texts: a value is the same to the bit
/// whatever was computed before, so a resumed run equals the uninterrupted one.
///
/// Throws DataError for published padding with a tokenizer that has no EOS token.
std::unique_ptr<GroupStep> contrast_step(const GroupData& data,
                                         const objectives::ContrastiveOptions& options,
                                         std::shared_ptr<NllCache> base_cache = nullptr);

}  // namespace cpx::training
