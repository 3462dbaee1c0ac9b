// SPDX-License-Identifier: Apache-2.0
#include "group_batch.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/log.h"

namespace cpx::training {

namespace {

std::string_view key_of(TextRole role) {
  return role == TextRole::kPositive ? "paraphrases" : "paraphrases_toxic";
}

// Throws unless a text of `role` is left of the group.
void require_text(const GroupBatch& batch, int64_t group, TextRole role, const std::string& where) {
  const auto fits = [group, role](const data::BatchText& text) {
    return text.group == group && text.role == role;
  };
  if (std::ranges::any_of(batch.texts, fits)) return;
  throw_<DataError>(
      "[{}] {}: none of the drawn texts has a predicted token, expected one of at least two "
      "tokens. Set data.append_eos, or remove the record.",
      where, key_of(role));
}

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

}  // namespace

MicroBatchOrder::MicroBatchOrder(int64_t num_units, int64_t units_per_micro_batch, bool drop_last,
                                 std::function<std::vector<int64_t>(int64_t)> order_of)
    : units_per_micro_batch_(units_per_micro_batch),
      order_of_(std::move(order_of)),
      num_micro_batches_(count_micro_batches(num_units, units_per_micro_batch, drop_last)) {}

std::span<const int64_t> MicroBatchOrder::units(int64_t epoch, int64_t index) {
  CPX_CHECK(epoch >= 0 && index >= 0 && index < num_micro_batches_,
            "[training data] got micro batch {} of epoch {}, expected 0 to {}.", index, epoch,
            num_micro_batches_ - 1);
  if (epoch != epoch_) {
    order_ = order_of_(epoch);
    epoch_ = epoch;
  }
  const int64_t begin = index * units_per_micro_batch_;
  const int64_t end = std::min(begin + units_per_micro_batch_, std::ssize(order_));
  return {order_.begin() + begin, order_.begin() + end};
}

void GroupBatch::add(std::vector<tokenizer::TokenId> text_ids, int64_t group, TextRole role) {
  ids.push_back(std::move(text_ids));
  texts.push_back({.ids = ids.back(), .group = group, .role = role});
}

std::vector<data::DrawnGroup> DrawnBatch::groups() const {
  std::vector<data::DrawnGroup> groups;
  for (const int64_t record : batch.records) groups.push_back({.record = record});
  for (size_t i = 0; i < drawn.size(); ++i) {
    groups[static_cast<size_t>(batch.texts[i].group)].texts.push_back(drawn[i]);
  }
  return groups;
}

void LeftOutTexts::add(const data::DrawnText& drawn, const std::string& where) {
  const bool is_positive = drawn.role == TextRole::kPositive;
  if (!known_.insert({is_positive, drawn.record, drawn.text}).second) return;
  log_warning("[{}] {}: text {} has no predicted token and is left out ({} so far).", where,
              key_of(drawn.role), drawn.text + 1, known_.size());
}

GroupSource::GroupSource(std::shared_ptr<const data::ContrastGroups> groups,
                         const data::TextEncoder& encoder, int64_t groups_per_micro_batch,
                         bool drop_last, bool shares_prefixes)
    : groups_(std::move(groups)),
      encoder_(encoder),
      shares_prefixes_(shares_prefixes),
      order_(groups_->num_groups(), groups_per_micro_batch, drop_last,
             [this](int64_t epoch) { return groups_->epoch_order(epoch); }) {}

const data::Record& GroupSource::record(int64_t index) const {
  return groups_->records()[static_cast<size_t>(index)];
}

std::vector<data::DrawnGroup> GroupSource::draw(int64_t epoch, int64_t index) {
  std::vector<data::DrawnGroup> drawn;
  for (const int64_t group : order_.units(epoch, index)) {
    drawn.push_back(groups_->draw(group, epoch));
  }
  return drawn;
}

DrawnBatch GroupSource::encode(std::span<const data::DrawnGroup> groups, bool needs_hard_negative) {
  const auto where = [this](int64_t index) { return record(index).where; };
  DrawnBatch result;
  for (int64_t group = 0; group < std::ssize(groups); ++group) {
    const data::DrawnGroup& one = groups[static_cast<size_t>(group)];
    for (const data::DrawnText& drawn : one.texts) {
      data::EncodedText encoded = encoder_.encode(groups_->text(drawn));
      if (encoded.ids.size() >= 2) {
        result.batch.add(std::move(encoded.ids), group, drawn.role);
        result.drawn.push_back(drawn);
      } else if (drawn.role == TextRole::kInput) {
        throw_<DataError>(
            "[{}] input: has no predicted token: got {} tokens, expected at least two. Set "
            "data.append_eos, or remove the record.",
            where(one.record), encoded.ids.size());
      } else {
        left_out_.add(drawn, where(drawn.record));
      }
    }
    require_text(result.batch, group, TextRole::kPositive, where(one.record));
    if (needs_hard_negative) {
      require_text(result.batch, group, TextRole::kHardNegative, where(one.record));
    }
    result.batch.records.push_back(one.record);
  }
  return result;
}

data::PackedBatch GroupSource::pack(const GroupBatch& batch) const {
  return shares_prefixes_ ? data::pack_sharing_prefixes(batch.texts) : data::pack(batch.texts);
}

MicroBatchInfo GroupSource::info(const GroupBatch& batch, const data::PackedBatch& packed) const {
  MicroBatchInfo info{.num_tokens = packed.num_tokens,
                      .num_padded_tokens = packed.num_padded_tokens};
  info.counts.groups = std::ssize(batch.records);
  for (const data::PackedText& text : packed.texts) {
    if (text.role != TextRole::kPositive) {
      info.counts.negative_texts += 1;
      continue;
    }
    info.counts.positive_texts += 1;
    info.counts.positive_tokens += text.count;
  }
  for (const int64_t index : batch.records) info.records.push_back(record(index).where);
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
