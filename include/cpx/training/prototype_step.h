// SPDX-License-Identifier: Apache-2.0
// The prototype objective (contrast around the input sentence) as a step task.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/objectives/prototype.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

struct PrototypeStepOptions {
  /// Texts drawn from each record, beside its input.
  int64_t num_positives = 2;
  int64_t num_hard_negatives = 6;
  bool shuffle = true;
  uint64_t seed = 0;
  /// Groups in one micro batch; more of them need more memory.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  objectives::PrototypeOptions objective = {};
};

/// The prototype objective on records that have an input. The records and the encoder must outlive
/// the task; `eval_records` may be empty. Evaluation compares the perplexity of the toxic and the
/// neutral texts; inputs are on neither side. Throws DataError where no record (or, with drop_last,
/// no full micro batch) can be used.
std::unique_ptr<GroupStep> prototype_step(std::span<const data::Record> train_records,
                                          std::span<const data::Record> eval_records,
                                          const data::TextEncoder& encoder,
                                          const PrototypeStepOptions& options);

}  // namespace cpx::training
