// SPDX-License-Identifier: Apache-2.0
#include "group_batch.h"

#include <algorithm>
#include <numeric>

#include "cpx/core/error.h"
#include "cpx/core/log.h"

namespace cpx::training {

namespace {

bool has_positive(const GroupBatch& batch, int64_t group) {
  return std::ranges::any_of(batch.texts, [group](const data::BatchText& text) {
    return text.group == group && text.role == TextRole::kPositive;
  });
}

}  // namespace

int64_t count_micro_batches(int64_t num_groups, int64_t per_micro_batch, bool drop_last) {
  CPX_CHECK(per_micro_batch > 0, "[training data] got {} groups a micro batch, expected 1 or more.",
            per_micro_batch);
  const int64_t full = num_groups / per_micro_batch;
  if (!drop_last) return full + (num_groups % per_micro_batch > 0 ? 1 : 0);
  if (full == 0) {
    throw_<DataError>(
        "[training data] data.drop_last leaves no micro batch: got {} usable records, expected at "
        "least {} (training.groups). Set data.drop_last to false, or take fewer groups.",
        num_groups, per_micro_batch);
  }
  return full;
}

MicroBatchOrder::MicroBatchOrder(const data::ContrastGroups& groups, int64_t groups_per_micro_batch,
                                 bool drop_last)
    : groups_(groups),
      groups_per_micro_batch_(groups_per_micro_batch),
      num_micro_batches_(
          count_micro_batches(groups.num_groups(), groups_per_micro_batch, drop_last)) {}

std::vector<data::DrawnGroup> MicroBatchOrder::draw(int64_t epoch, int64_t index) {
  CPX_CHECK(epoch >= 0 && index >= 0 && index < num_micro_batches_,
            "[training data] got micro batch {} of epoch {}, expected 0 to {}.", index, epoch,
            num_micro_batches_ - 1);
  if (epoch != epoch_) {
    order_ = groups_.epoch_order(epoch);
    epoch_ = epoch;
  }
  const int64_t begin = index * groups_per_micro_batch_;
  const int64_t end = std::min(begin + groups_per_micro_batch_, std::ssize(order_));
  std::vector<data::DrawnGroup> drawn;
  for (int64_t i = begin; i < end; ++i) {
    drawn.push_back(groups_.draw(order_[static_cast<size_t>(i)], epoch));
  }
  return drawn;
}

void LeftOutTexts::add(const data::DrawnText& drawn, const std::string& where) {
  const bool is_positive = drawn.role == TextRole::kPositive;
  if (!known_.insert({is_positive, drawn.record, drawn.text}).second) return;
  log_warning("[{}] {}: text {} has no predicted token and is left out ({} so far).", where,
              is_positive ? "paraphrases" : "paraphrases_toxic", drawn.text + 1, known_.size());
}

GroupBatch encode_groups(std::span<const data::DrawnGroup> groups,
                         const data::ContrastGroups& source, std::span<const data::Record> records,
                         const data::TextEncoder& encoder, LeftOutTexts& left_out) {
  GroupBatch batch;
  for (int64_t group = 0; group < std::ssize(groups); ++group) {
    const data::DrawnGroup& one = groups[static_cast<size_t>(group)];
    const std::string& where = records[static_cast<size_t>(one.record)].where;
    for (const data::DrawnText& drawn : one.texts) {
      data::EncodedText encoded = encoder.encode(source.text(drawn));
      if (encoded.ids.size() < 2) {
        left_out.add(drawn, records[static_cast<size_t>(drawn.record)].where);
        continue;
      }
      batch.ids.push_back(std::move(encoded.ids));
      batch.texts.push_back({.ids = batch.ids.back(), .group = group, .role = drawn.role});
      batch.drawn.push_back(drawn);
    }
    if (!has_positive(batch, group)) {
      throw_<DataError>(
          "[{}] paraphrases: none of the drawn texts has a predicted token, expected one of at "
          "least two tokens. Set data.append_eos, or remove the record.",
          where);
    }
    batch.records.push_back(one.record);
  }
  return batch;
}

MicroBatchInfo micro_batch_info(const GroupBatch& batch, const data::PackedBatch& packed,
                                std::span<const data::Record> records) {
  MicroBatchInfo info{.num_tokens = packed.num_tokens,
                      .num_padded_tokens = packed.num_padded_tokens};
  info.counts.groups = std::ssize(batch.records);
  for (const data::PackedText& text : packed.texts) {
    if (text.role != TextRole::kPositive) continue;
    info.counts.positive_texts += 1;
    info.counts.positive_tokens += text.count;
  }
  for (const int64_t record : batch.records) {
    info.records.push_back(records[static_cast<size_t>(record)].where);
  }
  return info;
}

void add_result(objectives::ObjectiveResult& sum, const objectives::ObjectiveResult& other) {
  const bool is_first = sum.positives.texts == 0;
  sum.loss += other.loss;
  if (is_first) {
    sum.contrast = other.contrast;
  } else if (sum.contrast && other.contrast) {
    *sum.contrast += *other.contrast;
  } else {
    sum.contrast.reset();
  }
  sum.positives += other.positives;
  sum.hard_negatives += other.hard_negatives;
  sum.random_negatives += other.random_negatives;
  sum.preferences += other.preferences;
}

void add_scored_texts(std::vector<objectives::ScoredText>& scored, const data::PackedBatch& packed,
                      std::span<const double> nll) {
  for (const data::PackedText& text : packed.texts) {
    if (text.role != TextRole::kPositive && text.role != TextRole::kHardNegative) continue;
    const auto own = nll.subspan(static_cast<size_t>(text.first), static_cast<size_t>(text.count));
    scored.push_back({.side = text.role == TextRole::kPositive ? objectives::Side::kNeutral
                                                               : objectives::Side::kToxic,
                      .nll_sum = std::accumulate(own.begin(), own.end(), 0.0),
                      .tokens = text.count});
  }
}

}  // namespace cpx::training
