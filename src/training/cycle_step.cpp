// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/cycle_step.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/data/variant_items.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

using FineTuning = CycleStepOptions::FineTuning;

namespace {

using objectives::CycleTerm;
using objectives::CycleText;
using objectives::ObjectiveResult;
using objectives::StepCounts;

// The side of a plain text; pairs are on none.
TextRole side_of(CycleRole role) {
  if (role == CycleRole::kPositive) return TextRole::kPositive;
  if (role == CycleRole::kNegative) return TextRole::kHardNegative;
  return TextRole::kComposed;
}

// The mean of supervised fine-tuning that an item counts in.
std::optional<CycleTerm> term_of(CycleRole role, FineTuning fine_tuning) {
  const bool is_of_pairs = fine_tuning == FineTuning::kPairs;
  switch (role) {
    case CycleRole::kDetoxify:
      return is_of_pairs ? CycleTerm::kPositives : CycleTerm::kPairs;
    case CycleRole::kToxify:
      return is_of_pairs ? CycleTerm::kNegatives : CycleTerm::kPairs;
    case CycleRole::kPositive:
      return is_of_pairs ? std::nullopt : std::optional(CycleTerm::kPositives);
    case CycleRole::kNegative:
      return is_of_pairs ? std::nullopt : std::optional(CycleTerm::kNegatives);
    case CycleRole::kCycle:
      return CycleTerm::kPairs;
  }
  throw_<std::invalid_argument>("[cycle_step] got an unknown role.");
}

class CycleMicroBatch : public PackedMicroBatch {
 public:
  CycleMicroBatch(MicroBatchInfo info, data::PackedBatch packed, std::vector<CycleText> texts,
                  const objectives::CycleOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)),
        texts_(std::move(texts)),
        options_(options) {}

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::cycle(
        {.texts = texts_, .num_groups = info().counts.groups, .token_nll = nll}, options_, step);
  }

 private:
  std::vector<CycleText> texts_;
  objectives::CycleOptions options_;
};

// The items' tokens, sides and terms.
std::vector<CycleText> cycle_texts(const data::PackedBatch& packed,
                                   std::span<const std::optional<CycleTerm>> terms) {
  std::vector<CycleText> texts;
  for (size_t i = 0; i < packed.texts.size(); ++i) {
    const data::PackedText& text = packed.texts[i];
    texts.push_back({.group = text.group,
                     .tokens = {.first = text.first, .count = text.count},
                     .term = terms[i]});
    if (text.role != TextRole::kComposed) texts.back().contrast = text.role;
  }
  return texts;
}

void count_terms(std::span<const std::optional<CycleTerm>> terms, StepCounts& counts) {
  const auto number_of = [terms](CycleTerm term) { return std::ranges::count(terms, term); };
  counts.pairs = number_of(CycleTerm::kPairs);
  counts.positive_texts = number_of(CycleTerm::kPositives);
  counts.negative_texts = number_of(CycleTerm::kNegatives);
}

std::unique_ptr<PackedMicroBatch> make_cycle_batch(GroupSource& source,
                                                   std::span<const data::DrawnGroup> groups,
                                                   FineTuning fine_tuning,
                                                   const objectives::CycleOptions& options) {
  const DrawnBatch plain = source.encode(groups, /*needs_hard_negative=*/true);
  GroupBatch batch{.records = plain.batch.records};
  std::vector<std::optional<CycleTerm>> terms;
  for (int64_t index = 0; const data::DrawnGroup& group : plain.groups()) {
    const auto texts = data::group_texts(source.groups(), group);
    for (data::CycleItem& item : used_cycle_items(texts, source.encoder(), fine_tuning)) {
      terms.push_back(term_of(item.role, fine_tuning));
      batch.add(std::move(item.ids), index, side_of(item.role));
    }
    ++index;
  }
  auto packed = source.pack(batch);
  auto info = source.info(batch, packed);
  count_terms(terms, info.counts);
  auto texts = cycle_texts(packed, terms);
  return std::make_unique<CycleMicroBatch>(std::move(info), std::move(packed), std::move(texts),
                                           options);
}

}  // namespace

std::vector<data::CycleItem> used_cycle_items(const data::GroupTexts& texts,
                                              const data::TextEncoder& encoder,
                                              FineTuning fine_tuning) {
  auto items = data::cycle_items(texts, encoder);
  if (fine_tuning == FineTuning::kTexts) {
    std::erase_if(items, [](const auto& item) { return item.role == CycleRole::kCycle; });
  }
  return items;
}

std::unique_ptr<GroupStep> cycle_step(const GroupData& data, const CycleStepOptions& options) {
  const int64_t num_negatives = data.train->options().num_hard_negatives;
  CPX_CHECK(num_negatives >= 1, "[cycle_step] num_hard_negatives: got {}, expected 1 or more.",
            num_negatives);
  const auto make = [options](nn::CausalLm& /*model*/, GroupSource& source,
                              std::span<const data::DrawnGroup> groups) {
    return make_cycle_batch(source, groups, options.fine_tuning, options.objective);
  };
  return std::make_unique<GroupStep>("cycle", data, make, make);
}

}  // namespace cpx::training
