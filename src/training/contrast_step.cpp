// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/contrast_step.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base_nll.h"
#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

using objectives::ContrastiveOptions;
using objectives::ContrastText;
using objectives::ObjectiveResult;
using objectives::StepCounts;

bool needs_base(const ContrastiveOptions& options) {
  return options.centroid == ContrastiveOptions::Centroid::kBase || options.hold != 0.0;
}

bool has_pads(const ContrastiveOptions& options) {
  return options.padding == ContrastiveOptions::Padding::kPublished;
}

std::vector<ContrastText> contrast_texts(const data::PackedBatch& packed) {
  std::vector<ContrastText> texts;
  for (const data::PackedText& text : packed.texts) {
    texts.push_back({.group = text.group,
                     .role = text.role,
                     .first = text.first,
                     .count = text.count,
                     .num_pads = text.num_pads,
                     .pad_prediction = text.pad_prediction});
  }
  return texts;
}

// A micro batch with all the objective wants to know of it.
class ContrastMicroBatch : public PackedMicroBatch {
 public:
  ContrastMicroBatch(MicroBatchInfo info, data::PackedBatch packed, std::vector<double> base_nll,
                     const ContrastiveOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        texts_(contrast_texts(this->packed())),
        base_nll_(std::move(base_nll)),
        options_(options) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::contrastive_perplexity(
        {.texts = texts_,
         .num_groups = info().counts.groups,
         .token_nll = nll,
         .base_token_nll = base_nll_,
         .pad_repeat_prediction = packed().pad_repeat_prediction,
         .padded_length = packed().padded_length},
        options_, step);
  }

 private:
  std::vector<ContrastText> texts_;
  std::vector<double> base_nll_;
  ContrastiveOptions options_;
};

// Records of one purpose, training or evaluation.
class ContrastData {
 public:
  ContrastData(std::span<const data::Record> records, const data::GroupOptions& groups,
               const data::TextEncoder& encoder, const ContrastStepOptions& options, bool drop_last)
      : records_(records),
        encoder_(encoder),
        objective_(options.objective),
        groups_(records, groups),
        order_(groups_, options.groups_per_micro_batch, drop_last) {
    if (needs_base(objective_)) {
      base_.emplace(records, encoder, groups.num_positives, has_pads(objective_));
    }
  }

  std::unique_ptr<PackedMicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) {
    const auto groups = order_.draw(epoch, index);
    const auto batch = encode_groups(groups, groups_, records_, encoder_, left_out_);
    auto packed = has_pads(objective_) ? data::pack_with_published_padding(
                                             batch.texts, encoder_.tokenizer().eos_id().value())
                                       : data::pack(batch.texts);
    auto base_nll = base_ ? base_values(model, batch, packed) : std::vector<double>();
    auto info = micro_batch_info(batch, packed, records_);
    return std::make_unique<ContrastMicroBatch>(std::move(info), std::move(packed),
                                                std::move(base_nll), objective_);
  }

  const data::ContrastGroups& groups() const { return groups_; }
  int64_t num_micro_batches() const { return order_.num_micro_batches(); }
  int64_t num_base_passes() const { return base_ ? base_->num_passes() : 0; }

 private:
  // [N] the base's token NLLs where the objective reads them: at the positives.
  std::vector<double> base_values(nn::CausalLm& model, const GroupBatch& batch,
                                  const data::PackedBatch& packed) {
    std::vector<double> values(packed.targets.size(), 0.0);
    for (size_t i = 0; i < packed.texts.size(); ++i) {
      const data::PackedText& text = packed.texts[i];
      if (text.role != TextRole::kPositive) continue;
      const BaseText& base = base_->of(model, batch.drawn[i].record, batch.drawn[i].text);
      std::copy(base.tokens.begin(), base.tokens.end(), values.begin() + text.first);
      if (text.pad_prediction >= 0) {
        values[static_cast<size_t>(text.pad_prediction)] = base.first_after_eos;
      }
    }
    if (packed.pad_repeat_prediction >= 0) {
      values[static_cast<size_t>(packed.pad_repeat_prediction)] = base_->eos_after_eos(model);
    }
    return values;
  }

  std::span<const data::Record> records_;
  const data::TextEncoder& encoder_;
  ContrastiveOptions objective_;
  data::ContrastGroups groups_;
  MicroBatchOrder order_;
  LeftOutTexts left_out_;
  std::optional<BaseNll> base_;
};

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

// The first texts in file order; random negatives only where there are enough at other targets.
data::GroupOptions evaluation_groups(data::GroupOptions groups,
                                     std::span<const data::Record> records) {
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

}  // namespace

class ContrastStep::Impl {
 public:
  Impl(std::span<const data::Record> train_records, std::span<const data::Record> eval_records,
       const data::TextEncoder& encoder, const ContrastStepOptions& options)
      : train_(train_records, options.groups, encoder, options, options.drop_last) {
    if (has_pads(options.objective) && !encoder.tokenizer().eos_id()) {
      throw_<DataError>(
          "[tokenizer] has no EOS token, which objective.padding published pads with. Set "
          "objective.padding to exclude.");
    }
    if (!eval_records.empty()) {
      eval_.emplace(eval_records, evaluation_groups(options.groups, eval_records), encoder, options,
                    /*drop_last=*/false);
    }
  }

  ContrastData& train() { return train_; }
  bool has_evaluation() const { return eval_.has_value(); }

  EvaluationResult evaluate(nn::CausalLm& model) {
    prepare_evaluation(model);
    return evaluate_batches(model, eval_batches_);
  }

  int64_t num_base_passes() const {
    return train_.num_base_passes() + (eval_ ? eval_->num_base_passes() : 0);
  }

 private:
  // The same micro batches each time.
  void prepare_evaluation(nn::CausalLm& model) {
    CPX_CHECK(eval_.has_value(), "[evaluate] there are no evaluation records.");
    if (!eval_batches_.empty()) return;
    for (int64_t i = 0; i < eval_->num_micro_batches(); ++i) {
      eval_batches_.push_back(eval_->prepare(model, /*epoch=*/0, i));
    }
  }

  ContrastData train_;
  std::optional<ContrastData> eval_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;
};

ContrastStep::ContrastStep(std::span<const data::Record> train_records,
                           std::span<const data::Record> eval_records,
                           const data::TextEncoder& encoder, const ContrastStepOptions& options)
    : impl_(std::make_unique<Impl>(train_records, eval_records, encoder, options)) {}

ContrastStep::~ContrastStep() = default;

int64_t ContrastStep::num_micro_batches() const { return impl_->train().num_micro_batches(); }

std::unique_ptr<MicroBatch> ContrastStep::prepare(nn::CausalLm& model, int64_t epoch,
                                                  int64_t index) {
  return impl_->train().prepare(model, epoch, index);
}

bool ContrastStep::has_evaluation() const { return impl_->has_evaluation(); }

EvaluationResult ContrastStep::evaluate(nn::CausalLm& model) { return impl_->evaluate(model); }

const data::ContrastGroups& ContrastStep::train_groups() const { return impl_->train().groups(); }

int64_t ContrastStep::num_base_passes() const { return impl_->num_base_passes(); }

}  // namespace cpx::training
