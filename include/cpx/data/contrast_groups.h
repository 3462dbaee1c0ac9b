// SPDX-License-Identifier: Apache-2.0
// Which texts an optimizer step sees: a pure function of (seed, epoch, record), so that any
// position of a run can be reached at once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/data/record.h"

namespace cpx::data {

struct GroupOptions {
  int64_t num_positives = 6;
  int64_t num_hard_negatives = 6;
  int64_t num_random_negatives = 0;
  /// The record's input as a text of the group; records without one are left out.
  bool with_input = false;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// One text of a group: a text of a record, and its part.
struct DrawnText {
  TextRole role = TextRole::kPositive;
  int64_t record = 0;  // index among the records; another one than the group's for random negatives
  int64_t text = 0;    // index among that record's neutral (positive) or toxic (negative) texts
};

/// One record with the texts that were drawn of it: its input where that is asked for, positives,
/// hard and random negatives in turn.
struct DrawnGroup {
  int64_t record = 0;
  std::vector<DrawnText> texts = {};
};

/// The groups of a data set. Records with fewer texts than the objective needs are left out and
/// counted.
class ContrastGroups {
 public:
  /// `records` must outlive the object. Throws DataError when no record can be used, or when random
  /// negatives are asked for and there is only one target group or it leaves a record too few.
  ContrastGroups(std::span<const Record> records, const GroupOptions& options);

  std::span<const Record> records() const { return records_; }
  const GroupOptions& options() const { return options_; }

  /// Records that are used: the groups of an epoch.
  int64_t num_groups() const { return static_cast<int64_t>(usable_.size()); }
  int64_t num_skipped() const { return num_skipped_; }
  const std::vector<int64_t>& usable_records() const { return usable_; }

  /// The order of `epoch`: record indices; the file's order without shuffling.
  std::vector<int64_t> epoch_order(int64_t epoch) const;

  /// The texts of `record` in `epoch`, drawn without replacement; the first ones without shuffling.
  /// Random negatives are toxic texts of any records of other target groups (records that are
  /// left out as groups too); they are drawn without shuffling as well, the same in every epoch.
  DrawnGroup draw(int64_t record, int64_t epoch) const;

  /// The text that a draw stands for.
  const std::string& text(const DrawnText& drawn) const;

 private:
  /// Positions [begin, end) of the pool of random negatives.
  struct PoolRange {
    int64_t begin = 0;
    int64_t end = 0;
  };

  void fill_random_pool();
  /// Toxic texts of the records of other target groups, and the index-th of them.
  int64_t num_foreign(int64_t record) const;
  DrawnText foreign_text(int64_t record, int64_t index) const;

  std::vector<int64_t> sample(int64_t n, int64_t k, TextRole role, int64_t record,
                              int64_t epoch) const;
  void draw_own(TextRole role, int64_t num_available, int64_t num_drawn, int64_t epoch,
                DrawnGroup& group) const;
  void draw_foreign(int64_t epoch, DrawnGroup& group) const;

  std::span<const Record> records_;
  GroupOptions options_;
  std::vector<int64_t> usable_;
  int64_t num_skipped_ = 0;
  // The pool of random negatives: all toxic texts, record by record, those of one target side by
  // side. Empty unless random negatives are asked for.
  std::vector<int64_t> pool_records_;
  std::vector<int64_t> pool_starts_;  // position of each of these records' first text, then the end
  std::vector<PoolRange> target_ranges_;  // of each record: where its target's texts lie
};

}  // namespace cpx::data
