// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/contrast_groups.h"

#include <algorithm>
#include <map>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/core/text.h"
#include "epoch_order.h"

namespace cpx::data {

namespace {

void check_options(const GroupOptions& options) {
  CPX_CHECK(options.num_positives >= 1,
            "[contrast_groups] num_positives: got {}, expected 1 or more.", options.num_positives);
  CPX_CHECK(options.num_hard_negatives >= 0,
            "[contrast_groups] num_hard_negatives: got {}, expected 0 or more.",
            options.num_hard_negatives);
  CPX_CHECK(options.num_random_negatives >= 0,
            "[contrast_groups] num_random_negatives: got {}, expected 0 or more.",
            options.num_random_negatives);
}

bool has_enough(const Record& record, const GroupOptions& options) {
  return std::ssize(record.neutral) >= options.num_positives &&
         std::ssize(record.toxic) >= options.num_hard_negatives &&
         (!options.with_input || !is_blank(record.input));
}

}  // namespace

ContrastGroups::ContrastGroups(std::span<const Record> records, const GroupOptions& options)
    : records_(records), options_(options) {
  check_options(options);
  for (int64_t i = 0; i < std::ssize(records); ++i) {
    if (has_enough(records[i], options)) usable_.push_back(i);
  }
  num_skipped_ = std::ssize(records) - num_groups();
  if (usable_.empty()) {
    throw_<DataError>(
        "[contrast_groups] no record can be used: got {} records, expected one with at least {} "
        "neutral and {} toxic texts{}. Lower num_positives or num_hard_negatives, or check the "
        "data.",
        records.size(), options.num_positives, options.num_hard_negatives,
        options.with_input ? ", and an input" : "");
  }
  if (options.num_random_negatives > 0) fill_random_pool();
}

void ContrastGroups::fill_random_pool() {
  std::map<std::string_view, std::vector<int64_t>> by_target;
  for (int64_t i = 0; i < std::ssize(records_); ++i) by_target[records_[i].group].push_back(i);
  if (by_target.size() < 2) {
    throw_<DataError>(
        "[contrast_groups] random negatives come from records of another group: got {} records, "
        "all "
        "of the group '{}', expected two groups or more. Add data or set num_random_negatives to "
        "0.",
        records_.size(), records_.front().group);
  }
  target_ranges_.resize(records_.size());
  pool_starts_ = {0};
  for (const auto& [target, members] : by_target) {
    const int64_t begin = pool_starts_.back();
    for (const int64_t record : members) {
      pool_records_.push_back(record);
      pool_starts_.push_back(pool_starts_.back() + std::ssize(records_[record].toxic));
    }
    for (const int64_t record : members) {
      target_ranges_[record] = {.begin = begin, .end = pool_starts_.back()};
    }
  }
  for (const int64_t record : usable_) {
    if (num_foreign(record) < options_.num_random_negatives) {
      throw_<DataError>(
          "[contrast_groups] {}: too few random negatives: got {} toxic texts outside its group "
          "'{}', expected {} (num_random_negatives).",
          records_[record].where, num_foreign(record), records_[record].group,
          options_.num_random_negatives);
    }
  }
}

int64_t ContrastGroups::num_foreign(int64_t record) const {
  const PoolRange own = target_ranges_[record];
  return pool_starts_.back() - (own.end - own.begin);
}

DrawnText ContrastGroups::foreign_text(int64_t record, int64_t index) const {
  const PoolRange own = target_ranges_[record];
  const int64_t position = index < own.begin ? index : index + (own.end - own.begin);
  const auto after = std::ranges::upper_bound(pool_starts_, position);
  const auto member = after - pool_starts_.begin() - 1;
  return {.role = TextRole::kRandomNegative,
          .record = pool_records_[member],
          .text = position - pool_starts_[member]};
}

std::vector<int64_t> ContrastGroups::epoch_order(int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[contrast_groups] epoch: got {}, expected 0 or more.", epoch);
  if (!options_.shuffle) return usable_;
  std::vector<int64_t> order = data::epoch_order(num_groups(), options_.seed, epoch);
  std::ranges::transform(order, order.begin(), [this](int64_t i) { return usable_[i]; });
  return order;
}

std::vector<int64_t> ContrastGroups::sample(int64_t n, int64_t k, TextRole role, int64_t record,
                                            int64_t epoch) const {
  const CounterRng rng(options_.seed, {kTextStream, static_cast<uint64_t>(epoch),
                                       static_cast<uint64_t>(record), static_cast<uint64_t>(role)});
  return sample_without_replacement(n, k, rng);
}

void ContrastGroups::draw_own(TextRole role, int64_t num_available, int64_t num_drawn,
                              int64_t epoch, DrawnGroup& group) const {
  std::vector<int64_t> drawn;
  if (options_.shuffle) {
    drawn = sample(num_available, num_drawn, role, group.record, epoch);
  } else {
    for (int64_t i = 0; i < num_drawn; ++i) drawn.push_back(i);
  }
  for (const int64_t text : drawn) {
    group.texts.push_back({.role = role, .record = group.record, .text = text});
  }
}

void ContrastGroups::draw_foreign(int64_t epoch, DrawnGroup& group) const {
  if (options_.num_random_negatives == 0) return;
  // The first ones would be the same few texts for every record, so these are drawn in any case.
  const int64_t drawn_epoch = options_.shuffle ? epoch : 0;
  for (const int64_t index : sample(num_foreign(group.record), options_.num_random_negatives,
                                    TextRole::kRandomNegative, group.record, drawn_epoch)) {
    group.texts.push_back(foreign_text(group.record, index));
  }
}

DrawnGroup ContrastGroups::draw(int64_t record, int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[contrast_groups] epoch: got {}, expected 0 or more.", epoch);
  CPX_CHECK(std::ranges::binary_search(usable_, record),
            "[contrast_groups] record: got {}, expected one of the usable records.", record);
  DrawnGroup group{.record = record};
  const Record& source = records_[record];
  if (options_.with_input) group.texts.push_back({.role = TextRole::kInput, .record = record});
  draw_own(TextRole::kPositive, std::ssize(source.neutral), options_.num_positives, epoch, group);
  draw_own(TextRole::kHardNegative, std::ssize(source.toxic), options_.num_hard_negatives, epoch,
           group);
  draw_foreign(epoch, group);
  return group;
}

const std::string& ContrastGroups::text(const DrawnText& drawn) const {
  CPX_CHECK(drawn.record >= 0 && drawn.record < std::ssize(records_),
            "[contrast_groups] record: got {}, expected 0 to {}.", drawn.record,
            std::ssize(records_) - 1);
  const Record& record = records_[drawn.record];
  if (drawn.role == TextRole::kInput) return record.input;
  const auto& texts = drawn.role == TextRole::kPositive ? record.neutral : record.toxic;
  CPX_CHECK(drawn.text >= 0 && drawn.text < std::ssize(texts),
            "[contrast_groups] {}: text: got {}, expected 0 to {}.", record.where, drawn.text,
            std::ssize(texts) - 1);
  return texts[drawn.text];
}

}  // namespace cpx::data
