// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/transfer_step.h"

#include <utility>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/data/variant_items.h"
#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

using objectives::ObjectiveResult;
using objectives::StepCounts;
using objectives::TransferPart;
using objectives::TransferText;

TransferPart part_of(TransferRole role) {
  switch (role) {
    case TransferRole::kPositiveInput:
      return TransferPart::kPositiveReference;
    case TransferRole::kNegativeInput:
      return TransferPart::kNegativeReference;
    case TransferRole::kInputNegative:
      return TransferPart::kReferenceNegative;
  }
  throw_<std::invalid_argument>("[transfer_step] got an unknown role.");
}

// The concatenations come first in the pack; plain texts behind them have no part in the loss.
class TransferMicroBatch : public PackedMicroBatch {
 public:
  TransferMicroBatch(MicroBatchInfo info, data::PackedBatch packed,
                     std::span<const TransferPart> parts,
                     const objectives::TransferOptions& options)
      : PackedMicroBatch(std::move(info), std::move(packed)), options_(options) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const data::PackedText& text = this->packed().texts[i];
      texts_.push_back({.group = text.group,
                        .part = parts[i],
                        .tokens = {.first = text.first, .count = text.count}});
    }
  }

  ObjectiveResult objective(std::span<const double> nll, const StepCounts& step) const override {
    return objectives::transfer(
        {.texts = texts_, .num_groups = info().counts.groups, .token_nll = nll}, options_, step);
  }

 private:
  std::vector<TransferText> texts_;
  objectives::TransferOptions options_;
};

std::unique_ptr<PackedMicroBatch> make_transfer_batch(GroupSource& source,
                                                      std::span<const data::DrawnGroup> groups,
                                                      const objectives::TransferOptions& options,
                                                      bool with_plain_texts) {
  DrawnBatch plain = source.encode(groups, /*needs_hard_negative=*/true);
  GroupBatch batch{.records = plain.batch.records};
  std::vector<TransferPart> parts;
  int64_t num_pairs = 0;
  for (int64_t index = 0; const data::DrawnGroup& group : plain.groups()) {
    const auto texts = data::group_texts(source.groups(), group);
    for (data::TransferItem& item : data::transfer_items(texts, source.encoder())) {
      parts.push_back(part_of(item.role));
      num_pairs += parts.back() == TransferPart::kNegativeReference ? 1 : 0;
      batch.add(std::move(item.ids), index, TextRole::kComposed);
    }
    ++index;
  }
  if (with_plain_texts) {
    batch.texts.insert(batch.texts.end(), plain.batch.texts.begin(), plain.batch.texts.end());
  }
  auto packed = source.pack(batch);
  auto info = source.info(batch, packed);
  info.counts.pairs = num_pairs;
  return std::make_unique<TransferMicroBatch>(std::move(info), std::move(packed), parts, options);
}

GroupStep::MakeMicroBatch transfer_maker(const objectives::TransferOptions& options,
                                         bool with_plain_texts) {
  return [options, with_plain_texts](nn::CausalLm& /*model*/, GroupSource& source,
                                     std::span<const data::DrawnGroup> groups) {
    return make_transfer_batch(source, groups, options, with_plain_texts);
  };
}

}  // namespace

std::unique_ptr<GroupStep> transfer_step(const GroupData& data,
                                         const objectives::TransferOptions& options) {
  const int64_t num_negatives = data.train->options().num_hard_negatives;
  CPX_CHECK(num_negatives >= 1, "[transfer_step] num_hard_negatives: got {}, expected 1 or more.",
            num_negatives);
  return std::make_unique<GroupStep>("transfer", data,
                                     transfer_maker(options, /*with_plain_texts=*/false),
                                     transfer_maker(options, /*with_plain_texts=*/true));
}

}  // namespace cpx::training
