// SPDX-License-Identifier: Apache-2.0
// The cycle objective (instructions from toxic to neutral and back, beside the contrast of the
// plain texts) as a step task.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/data/variant_items.h"
#include "cpx/objectives/cycle.h"
#include "cpx/training/group_step.h"

namespace cpx::training {

struct CycleStepOptions {
  /// What the three means of supervised fine-tuning are over; the published script leaves it open
  /// (docs/objectives.md). kTexts: both kinds of instruction pairs, the plain toxic and the plain
  /// neutral texts, as its names say. kPairs: instruction pairs alone, to neutral, to toxic, and
  /// back; the plain texts are only contrasted.
  enum class FineTuning { kTexts, kPairs };

  /// Texts drawn from each record; data::cycle_items says what is made of them. Both at least 1.
  int64_t num_positives = 6;
  int64_t num_hard_negatives = 6;
  bool shuffle = true;
  uint64_t seed = 0;
  /// Groups in one micro batch; more of them need more memory.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  FineTuning fine_tuning = FineTuning::kTexts;
  objectives::CycleOptions objective = {};
};

/// Those of data::cycle_items that `fine_tuning` or the contrast has a use for: without the cycle
/// pairs under kTexts, where the toxify pairs are what they would be.
std::vector<data::CycleItem> used_cycle_items(const data::GroupTexts& texts,
                                              const data::TextEncoder& encoder,
                                              CycleStepOptions::FineTuning fine_tuning);

/// The cycle objective. The records and the encoder must outlive the task; `eval_records` may be
/// empty. The evaluation loss is over all items as in training, its perplexities are those of the
/// plain neutral and toxic texts alone. Throws DataError where no record (or, with drop_last, no
/// full micro batch) can be used.
std::unique_ptr<GroupStep> cycle_step(std::span<const data::Record> train_records,
                                      std::span<const data::Record> eval_records,
                                      const data::TextEncoder& encoder,
                                      const CycleStepOptions& options);

}  // namespace cpx::training
