// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/contrast_step.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base_nll.h"
#include "cpx/core/error.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

using objectives::ContrastiveOptions;
using objectives::ContrastText;
using objectives::ObjectiveResult;
using objectives::StepCounts;

bool has_pads(const ContrastiveOptions& options) {
  return options.padding == ContrastiveOptions::Padding::kPublished;
}

std::vector<ContrastText> contrast_texts(const data::PackedBatch& packed,
                                         const ContrastiveOptions& options) {
  std::vector<ContrastText> texts;
  for (const data::PackedText& text : packed.texts) {
    texts.push_back({.group = text.group,
                     .role = text.role,
                     .first = text.first,
                     .count = text.count,
                     .num_pads = text.num_pads,
                     .pad_prediction = text.pad_prediction});
  }
  if (options.push_tokens == ContrastiveOptions::PushTokens::kDiffering) {
    auto differing = data::differing_predictions(packed);
    for (size_t i = 0; i < texts.size(); ++i) texts[i].differing = std::move(differing[i]);
  }
  return texts;
}

// A micro batch with all the objective wants to know of it.
class ContrastMicroBatch : public PackedMicroBatch {
 public:
  ContrastMicroBatch(MicroBatchInfo info, data::PackedBatch packed, std::vector<double> base_nll,
                     const ContrastiveOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        texts_(contrast_texts(this->packed(), options)),
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

  HeldDistributions held_distributions(const StepCounts& step) const override {
    if (!options_.holds_distributions()) return {};
    HeldDistributions held{.weight = options_.hold / static_cast<double>(step.positive_tokens)};
    for (const ContrastText& text : texts_) {
      if (text.role != TextRole::kPositive) continue;
      for (int64_t i = 0; i < text.count; ++i) held.predictions.push_back(text.first + i);
    }
    return held;
  }

 private:
  std::vector<ContrastText> texts_;
  std::vector<double> base_nll_;
  ContrastiveOptions options_;
};

// Makes the micro batches of one purpose, training or evaluation, with the base of its records.
class ContrastMaker {
 public:
  ContrastMaker(const data::ContrastGroups& groups, const data::TextEncoder& encoder,
                const ContrastiveOptions& options, std::shared_ptr<NllCache> base_cache)
      : options_(options) {
    if (options.needs_base()) {
      base_.emplace(groups.records(), encoder, groups.options().num_positives, has_pads(options),
                    std::move(base_cache));
    }
  }

  std::unique_ptr<PackedMicroBatch> make(nn::CausalLm& model, GroupSource& source,
                                         std::span<const data::DrawnGroup> groups) {
    const auto [batch, drawn] = source.encode(groups, /*needs_hard_negative=*/false);
    auto packed = has_pads(options_)
                      ? data::pack_with_published_padding(
                            batch.texts, source.encoder().tokenizer().eos_id().value())
                      : source.pack(batch);
    auto base_nll = base_ ? base_values(model, drawn, packed) : std::vector<double>();
    auto info = source.info(batch, packed);
    return std::make_unique<ContrastMicroBatch>(std::move(info), std::move(packed),
                                                std::move(base_nll), options_);
  }

 private:
  // [N] the base's token NLLs where the objective reads them.
  std::vector<double> base_values(nn::CausalLm& model, std::span<const data::DrawnText> drawn,
                                  const data::PackedBatch& packed) {
    std::vector<double> values(packed.targets.size(), 0.0);
    for (size_t i = 0; i < packed.texts.size(); ++i) {
      const data::PackedText& text = packed.texts[i];
      if (text.role != TextRole::kPositive && !options_.needs_base_of_negatives()) continue;
      const BaseText& base = base_->of(model, drawn[i]);
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

  ContrastiveOptions options_;
  std::optional<BaseNll> base_;
};

GroupStep::MakeMicroBatch contrast_maker(const std::shared_ptr<const data::ContrastGroups>& groups,
                                         const data::TextEncoder& encoder,
                                         const ContrastiveOptions& options,
                                         const std::shared_ptr<NllCache>& base_cache) {
  if (groups == nullptr) return nullptr;
  const auto maker = std::make_shared<ContrastMaker>(*groups, encoder, options, base_cache);
  return
      [maker](nn::CausalLm& model, GroupSource& source, std::span<const data::DrawnGroup> drawn) {
        return maker->make(model, source, drawn);
      };
}

}  // namespace

std::unique_ptr<GroupStep> contrast_step(const GroupData& data, const ContrastiveOptions& options,
                                         std::shared_ptr<NllCache> base_cache) {
  if (has_pads(options) && !data.encoder.tokenizer().eos_id()) {
    throw_<DataError>(
        "[tokenizer] has no EOS token, which objective.padding published pads with. Set "
        "objective.padding to exclude.");
  }
  return std::make_unique<GroupStep>("contrastive_perplexity", data,
                                     contrast_maker(data.train, data.encoder, options, base_cache),
                                     contrast_maker(data.eval, data.encoder, options, base_cache));
}

}  // namespace cpx::training
