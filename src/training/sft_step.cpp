// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/sft_step.h"

#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/objectives/sft.h"
#include "group_batch.h"
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

std::unique_ptr<PackedMicroBatch> make_micro_batch(std::span<const data::DrawnGroup> groups,
                                                   const data::ContrastGroups& source,
                                                   std::span<const data::Record> records,
                                                   const data::TextEncoder& encoder,
                                                   LeftOutTexts& left_out) {
  const auto batch = encode_groups(groups, source, records, encoder, left_out);
  auto packed = data::pack(batch.texts);
  auto info = micro_batch_info(batch, packed, records);
  return std::make_unique<SftMicroBatch>(std::move(info), std::move(packed));
}

data::GroupOptions group_options(const SftStepOptions& options, bool shuffle) {
  return {.num_positives = options.num_positives,
          .num_hard_negatives = 0,
          .num_random_negatives = 0,
          .shuffle = shuffle,
          .seed = options.seed};
}

// Adds the record's first toxic texts, as many as neutral ones or all there are.
void add_toxic_texts(data::DrawnGroup& group, const data::Record& record) {
  const int64_t count = std::min(std::ssize(group.texts), std::ssize(record.toxic));
  for (int64_t i = 0; i < count; ++i) {
    group.texts.push_back({.role = TextRole::kHardNegative, .record = group.record, .text = i});
  }
}

}  // namespace

class SftStep::Impl {
 public:
  Impl(std::span<const data::Record> train_records, std::span<const data::Record> eval_records,
       const data::TextEncoder& encoder, const SftStepOptions& options)
      : train_records_(train_records),
        eval_records_(eval_records),
        encoder_(encoder),
        options_(options),
        groups_(train_records, group_options(options, options.shuffle)),
        order_(groups_, options.groups_per_micro_batch, options.drop_last) {}

  int64_t num_micro_batches() const { return order_.num_micro_batches(); }
  bool has_evaluation() const { return !eval_records_.empty(); }
  const data::ContrastGroups& groups() const { return groups_; }

  std::unique_ptr<MicroBatch> prepare(int64_t epoch, int64_t index) {
    return make_micro_batch(order_.draw(epoch, index), groups_, train_records_, encoder_,
                            left_out_);
  }

  EvaluationResult evaluate(nn::CausalLm& model) {
    prepare_evaluation();
    return evaluate_batches(model, eval_batches_);
  }

 private:
  // The same micro batches each time.
  void prepare_evaluation() {
    CPX_CHECK(has_evaluation(), "[evaluate] there are no evaluation records.");
    if (!eval_batches_.empty()) return;
    const data::ContrastGroups source(eval_records_, group_options(options_, /*shuffle=*/false));
    MicroBatchOrder order(source, options_.groups_per_micro_batch, /*drop_last=*/false);
    for (int64_t i = 0; i < order.num_micro_batches(); ++i) {
      auto groups = order.draw(/*epoch=*/0, i);
      for (data::DrawnGroup& group : groups) {
        add_toxic_texts(group, eval_records_[static_cast<size_t>(group.record)]);
      }
      eval_batches_.push_back(
          make_micro_batch(groups, source, eval_records_, encoder_, eval_left_out_));
    }
  }

  std::span<const data::Record> train_records_;
  std::span<const data::Record> eval_records_;
  const data::TextEncoder& encoder_;
  SftStepOptions options_;
  data::ContrastGroups groups_;
  MicroBatchOrder order_;
  LeftOutTexts left_out_;
  LeftOutTexts eval_left_out_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;
};

SftStep::SftStep(std::span<const data::Record> train_records,
                 std::span<const data::Record> eval_records, const data::TextEncoder& encoder,
                 const SftStepOptions& options)
    : impl_(std::make_unique<Impl>(train_records, eval_records, encoder, options)) {}

SftStep::~SftStep() = default;

int64_t SftStep::num_micro_batches() const { return impl_->num_micro_batches(); }

std::unique_ptr<MicroBatch> SftStep::prepare(nn::CausalLm& /*model*/, int64_t epoch,
                                             int64_t index) {
  return impl_->prepare(epoch, index);
}

bool SftStep::has_evaluation() const { return impl_->has_evaluation(); }

EvaluationResult SftStep::evaluate(nn::CausalLm& model) { return impl_->evaluate(model); }

const data::ContrastGroups& SftStep::train_groups() const { return impl_->groups(); }

}  // namespace cpx::training
