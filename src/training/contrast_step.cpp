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
#include "group_task.h"
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

// Makes the micro batches of one purpose, training or evaluation, with the base of its records.
class ContrastMaker {
 public:
  ContrastMaker(std::span<const data::Record> records, const data::TextEncoder& encoder,
                const ContrastStepOptions& options)
      : objective_(options.objective) {
    if (needs_base(objective_)) {
      base_.emplace(records, encoder, options.groups.num_positives, has_pads(objective_),
                    options.base_cache);
    }
  }

  std::unique_ptr<PackedMicroBatch> make(nn::CausalLm& model, GroupSource& source,
                                         std::span<const data::DrawnGroup> groups) {
    const auto [batch, drawn] = source.encode(groups, /*needs_hard_negative=*/false);
    auto packed = has_pads(objective_)
                      ? data::pack_with_published_padding(
                            batch.texts, source.encoder().tokenizer().eos_id().value())
                      : data::pack(batch.texts);
    auto base_nll = base_ ? base_values(model, drawn, packed) : std::vector<double>();
    auto info = source.info(batch, packed);
    return std::make_unique<ContrastMicroBatch>(std::move(info), std::move(packed),
                                                std::move(base_nll), objective_);
  }

  int64_t num_base_passes() const { return base_ ? base_->num_passes() : 0; }

 private:
  // [N] the base's token NLLs where the objective reads them: at the positives.
  std::vector<double> base_values(nn::CausalLm& model, std::span<const data::DrawnText> drawn,
                                  const data::PackedBatch& packed) {
    std::vector<double> values(packed.targets.size(), 0.0);
    for (size_t i = 0; i < packed.texts.size(); ++i) {
      const data::PackedText& text = packed.texts[i];
      if (text.role != TextRole::kPositive) continue;
      const BaseText& base = base_->of(model, drawn[i].record, drawn[i].text);
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

  ContrastiveOptions objective_;
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
      : train_maker_(train_records, encoder, options),
        eval_maker_(eval_records, encoder, options),
        task_(
            {.train_records = train_records,
             .eval_records = eval_records,
             .encoder = encoder,
             .train_groups = options.groups,
             .eval_groups = eval_records.empty() ? options.groups
                                                 : evaluation_groups(options.groups, eval_records),
             .groups_per_micro_batch = options.groups_per_micro_batch,
             .drop_last = options.drop_last},
            maker(train_maker_), maker(eval_maker_)) {
    if (has_pads(options.objective) && !encoder.tokenizer().eos_id()) {
      throw_<DataError>(
          "[tokenizer] has no EOS token, which objective.padding published pads with. Set "
          "objective.padding to exclude.");
    }
  }

  GroupTask& task() { return task_; }

  int64_t num_base_passes() const {
    return train_maker_.num_base_passes() + eval_maker_.num_base_passes();
  }

 private:
  static MakeMicroBatch maker(ContrastMaker& maker) {
    return [&maker](nn::CausalLm& model, GroupSource& source,
                    std::span<const data::DrawnGroup> groups) {
      return maker.make(model, source, groups);
    };
  }

  ContrastMaker train_maker_;
  ContrastMaker eval_maker_;
  GroupTask task_;
};

ContrastStep::ContrastStep(std::span<const data::Record> train_records,
                           std::span<const data::Record> eval_records,
                           const data::TextEncoder& encoder, const ContrastStepOptions& options)
    : impl_(std::make_unique<Impl>(train_records, eval_records, encoder, options)) {}

ContrastStep::~ContrastStep() = default;

int64_t ContrastStep::num_micro_batches() const { return impl_->task().num_micro_batches(); }

std::unique_ptr<MicroBatch> ContrastStep::prepare(nn::CausalLm& model, int64_t epoch,
                                                  int64_t index) {
  return impl_->task().prepare(model, epoch, index);
}

bool ContrastStep::has_evaluation() const { return impl_->task().has_evaluation(); }

EvaluationResult ContrastStep::evaluate(nn::CausalLm& model) {
  return impl_->task().evaluate(model);
}

const data::ContrastGroups& ContrastStep::train_groups() const {
  return impl_->task().train_groups();
}

int64_t ContrastStep::num_base_passes() const { return impl_->num_base_passes(); }

}  // namespace cpx::training
