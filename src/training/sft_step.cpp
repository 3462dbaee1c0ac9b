// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/sft_step.h"

#include <algorithm>
#include <utility>

#include "cpx/objectives/sft.h"
#include "group_batch.h"
#include "group_task.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

using objectives::ObjectiveResult;
using objectives::StepCounts;

// The neutral texts' predictions; toxic texts (of an evaluation) have no part in the loss.
std::vector<objectives::TokenRange> neutral_ranges(const data::PackedBatch& packed) {
  std::vector<objectives::TokenRange> ranges;
  for (const data::PackedText& text : packed.texts) {
    if (text.role != TextRole::kPositive) continue;
    ranges.push_back({.first = text.first, .count = text.count});
  }
  return ranges;
}

class SftMicroBatch : public PackedMicroBatch {
 public:
  SftMicroBatch(MicroBatchInfo info, data::PackedBatch packed)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        ranges_(neutral_ranges(this->packed())) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::sft(ranges_, nll, step.positive_tokens);
  }

 private:
  std::vector<objectives::TokenRange> ranges_;
};

std::unique_ptr<PackedMicroBatch> make_sft_batch(GroupSource& source,
                                                 std::span<const data::DrawnGroup> groups) {
  const GroupBatch batch = source.encode(groups, /*needs_hard_negative=*/false).batch;
  auto packed = data::pack(batch.texts);
  auto info = source.info(batch, packed);
  return std::make_unique<SftMicroBatch>(std::move(info), std::move(packed));
}

// Adds the record's first toxic texts, as many as neutral ones or all there are.
void add_toxic_texts(data::DrawnGroup& group, const data::Record& record) {
  const int64_t count = std::min(std::ssize(group.texts), std::ssize(record.toxic));
  for (int64_t i = 0; i < count; ++i) {
    group.texts.push_back({.role = TextRole::kHardNegative, .record = group.record, .text = i});
  }
}

std::unique_ptr<PackedMicroBatch> make_training(nn::CausalLm& /*model*/, GroupSource& source,
                                                std::span<const data::DrawnGroup> groups) {
  return make_sft_batch(source, groups);
}

std::unique_ptr<PackedMicroBatch> make_evaluation(nn::CausalLm& /*model*/, GroupSource& source,
                                                  std::span<const data::DrawnGroup> groups) {
  std::vector<data::DrawnGroup> both_sides(groups.begin(), groups.end());
  for (data::DrawnGroup& group : both_sides) {
    add_toxic_texts(group, source.records()[static_cast<size_t>(group.record)]);
  }
  return make_sft_batch(source, both_sides);
}

}  // namespace

SftStep::SftStep(std::span<const data::Record> train_records,
                 std::span<const data::Record> eval_records, const data::TextEncoder& encoder,
                 const SftStepOptions& options)
    : task_(std::make_unique<GroupTask>(
          group_task_data(train_records, eval_records, encoder, options, /*with_input=*/false),
          make_training, make_evaluation)) {}

SftStep::~SftStep() = default;

int64_t SftStep::num_micro_batches() const { return task_->num_micro_batches(); }

std::unique_ptr<MicroBatch> SftStep::prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
  return task_->prepare(model, epoch, index);
}

bool SftStep::has_evaluation() const { return task_->has_evaluation(); }

EvaluationResult SftStep::evaluate(nn::CausalLm& model) { return task_->evaluate(model); }

const data::ContrastGroups& SftStep::train_groups() const { return task_->train_groups(); }

}  // namespace cpx::training
