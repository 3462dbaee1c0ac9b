// SPDX-License-Identifier: Apache-2.0
// Supervised fine-tuning on the neutral texts of contrast shards, as a step task.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

class GroupTask;

struct SftStepOptions {
  /// Neutral texts drawn from each record.
  int64_t num_positives = 6;
  bool shuffle = true;
  uint64_t seed = 0;
  /// Records in one micro batch.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
};

/// The mean NLL of the drawn neutral texts' predicted tokens over an optimizer step. Evaluation
/// takes the loss of the records' first neutral texts, and beside them scores as many toxic ones
/// (fewer where a record has fewer) for perplexities, ratio and separation.
class SftStep : public StepTask {
 public:
  /// The records and the encoder must outlive the object; `eval_records` may be empty. Throws
  /// DataError where no record (or, with drop_last, no full micro batch) can be used.
  SftStep(std::span<const data::Record> train_records, std::span<const data::Record> eval_records,
          const data::TextEncoder& encoder, const SftStepOptions& options);
  ~SftStep() override;

  std::string name() const override { return "sft"; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;

  /// The training groups, for counts and inspection.
  const data::ContrastGroups& train_groups() const;

 private:
  std::unique_ptr<GroupTask> task_;
};

}  // namespace cpx::training
