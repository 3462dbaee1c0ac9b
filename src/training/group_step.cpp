// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/group_step.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "group_batch.h"
#include "packed_micro_batch.h"
#include "text_micro_batch.h"

namespace cpx::training {

namespace {

// The smallest number of toxic texts that a record finds at other targets than its own.
int64_t fewest_foreign_toxic_texts(std::span<const data::Record> records) {
  int64_t total = 0;
  std::map<std::string_view, int64_t> by_target;
  for (const data::Record& record : records) {
    total += std::ssize(record.toxic);
    by_target[record.group] += std::ssize(record.toxic);
  }
  int64_t fewest = total;
  for (const auto& [target, count] : by_target) fewest = std::min(fewest, total - count);
  return fewest;
}

}  // namespace

data::GroupOptions evaluation_groups(const data::GroupOptions& training,
                                     std::span<const data::Record> records) {
  data::GroupOptions groups = training;
  groups.shuffle = false;
  const int64_t fewest = fewest_foreign_toxic_texts(records);
  if (groups.num_random_negatives > fewest) {
    log_warning(
        "[evaluation] the loss is taken without random negatives: a record finds {} toxic texts at "
        "other targets, expected {} (objective.num_random_negatives).",
        fewest, groups.num_random_negatives);
    groups.num_random_negatives = 0;
  }
  return groups;
}

GroupStep::GroupStep(std::string name, const GroupData& data, MakeMicroBatch make_training,
                     MakeMicroBatch make_evaluation)
    : name_(std::move(name)),
      train_(std::make_unique<GroupSource>(data.train, data.encoder, data.groups_per_micro_batch,
                                           data.drop_last, data.shares_prefixes)),
      make_training_(std::move(make_training)),
      make_evaluation_(std::move(make_evaluation)) {
  if (data.eval != nullptr) {
    eval_ = std::make_unique<GroupSource>(data.eval, data.encoder, data.groups_per_micro_batch,
                                          /*drop_last=*/false, data.shares_prefixes);
  }
}

GroupStep::~GroupStep() = default;

int64_t GroupStep::num_micro_batches() const { return train_->num_micro_batches(); }

std::unique_ptr<MicroBatch> GroupStep::prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
  return make_training_(model, *train_, train_->draw(epoch, index));
}

EvaluationResult GroupStep::evaluate(nn::CausalLm& model) {
  check_has_evaluation(eval_ != nullptr, "records");
  for (int64_t i = std::ssize(eval_batches_); i < eval_->num_micro_batches(); ++i) {
    eval_batches_.push_back(make_evaluation_(model, *eval_, eval_->draw(/*epoch=*/0, i)));
  }
  return evaluate_batches(model, eval_batches_);
}

std::unique_ptr<GroupStep> text_step(std::string name, const GroupData& data, TextLoss loss) {
  const auto make = [loss = std::move(loss)](nn::CausalLm& /*model*/, GroupSource& source,
                                             std::span<const data::DrawnGroup> groups) {
    return make_text_batch(source, groups, loss);
  };
  return std::make_unique<GroupStep>(std::move(name), data, make, make);
}

}  // namespace cpx::training
