// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/group_step.h"

#include <utility>

#include "group_task.h"

namespace cpx::training {

GroupStep::GroupStep(std::string name, std::unique_ptr<GroupTask> task)
    : name_(std::move(name)), task_(std::move(task)) {}

GroupStep::~GroupStep() = default;

int64_t GroupStep::num_micro_batches() const { return task_->num_micro_batches(); }

std::unique_ptr<MicroBatch> GroupStep::prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
  return task_->prepare(model, epoch, index);
}

bool GroupStep::has_evaluation() const { return task_->has_evaluation(); }

EvaluationResult GroupStep::evaluate(nn::CausalLm& model) { return task_->evaluate(model); }

const data::ContrastGroups& GroupStep::train_groups() const { return task_->train_groups(); }

}  // namespace cpx::training
