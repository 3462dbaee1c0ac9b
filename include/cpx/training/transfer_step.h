// SPDX-License-Identifier: Apache-2.0
// The transfer objective (from a toxic wording on to the neutral reference) as a step task.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/objectives/transfer.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

struct TransferStepOptions {
  /// Texts drawn from each record, beside its input; data::transfer_items says what is made of
  /// them. Both at least 1.
  int64_t num_positives = 3;
  int64_t num_hard_negatives = 6;
  bool shuffle = true;
  uint64_t seed = 0;
  /// Groups in one micro batch; more of them need more memory.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  objectives::TransferOptions objective = {};
};

/// The transfer objective on records that have an input. The records and the encoder must outlive
/// the task; `eval_records` may be empty. The evaluation loss is over the concatenations as in
/// training; its perplexities are those of the drawn neutral and toxic texts by themselves, scored
/// beside them. Throws DataError where no record (or, with drop_last, no full micro batch) can be
/// used.
std::unique_ptr<GroupStep> transfer_step(std::span<const data::Record> train_records,
                                         std::span<const data::Record> eval_records,
                                         const data::TextEncoder& encoder,
                                         const TransferStepOptions& options);

}  // namespace cpx::training
