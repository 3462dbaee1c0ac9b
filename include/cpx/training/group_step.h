// SPDX-License-Identifier: Apache-2.0
// A step task over contrast groups: records to drawn groups, packed, through the model to token
// NLLs, to an objective and back. Objectives that need nothing else are made of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cpx/data/contrast_groups.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

class GroupTask;

/// What prototype_step(), transfer_step() and cycle_step() return. A text without a predicted token
/// is left out with a warning; a group that cannot be used then is a DataError. Evaluation draws
/// each record's first texts in file order.
class GroupStep : public StepTask {
 public:
  GroupStep(std::string name, std::unique_ptr<GroupTask> task);
  ~GroupStep() override;

  std::string name() const override { return name_; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;

  /// The training groups, for counts and inspection.
  const data::ContrastGroups& train_groups() const;

 private:
  std::string name_;
  std::unique_ptr<GroupTask> task_;
};

}  // namespace cpx::training
