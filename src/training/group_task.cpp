// SPDX-License-Identifier: Apache-2.0
#include "group_task.h"

#include <utility>

#include "cpx/core/error.h"

namespace cpx::training {

GroupTask::GroupTask(const GroupTaskData& data, MakeMicroBatch make_training,
                     MakeMicroBatch make_evaluation)
    : train_(data.train_records, data.encoder, data.train_groups, data.groups_per_micro_batch,
             data.drop_last),
      make_training_(std::move(make_training)),
      make_evaluation_(std::move(make_evaluation)) {
  if (!data.eval_records.empty()) {
    eval_.emplace(data.eval_records, data.encoder, data.eval_groups, data.groups_per_micro_batch,
                  /*drop_last=*/false);
  }
}

std::unique_ptr<PackedMicroBatch> GroupTask::prepare(nn::CausalLm& model, int64_t epoch,
                                                     int64_t index) {
  return make_training_(model, train_, train_.draw(epoch, index));
}

EvaluationResult GroupTask::evaluate(nn::CausalLm& model) {
  CPX_CHECK(eval_.has_value(), "[evaluate] there are no evaluation records.");
  for (int64_t i = std::ssize(eval_batches_); i < eval_->num_micro_batches(); ++i) {
    eval_batches_.push_back(make_evaluation_(model, *eval_, eval_->draw(/*epoch=*/0, i)));
  }
  return evaluate_batches(model, eval_batches_);
}

}  // namespace cpx::training
