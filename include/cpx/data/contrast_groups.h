// SPDX-License-Identifier: Apache-2.0
// Decides which texts an optimizer step sees: a pure function of (seed, epoch, record), so that any
// position of a run can be reached directly.
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
  /// Adds the input of the record as a text of the group; records without an input are left out.
  bool with_input = false;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// One text of a group: where it is among the records, and its role.
struct DrawnText {
  TextRole role = TextRole::kPositive;
  int64_t record = 0;  // index among the records; another one than the group's for random negatives
  int64_t text = 0;    // index among that record's neutral (positive) or toxic (negative) texts
};

/// One record with the texts drawn from it: its input if requested, then positives, hard negatives
/// and random negatives.
struct DrawnGroup {
  int64_t record = 0;
  std::vector<DrawnText> texts = {};
};

/// The groups of a data set. Records with fewer texts than the objective needs are left out and
/// counted.
class ContrastGroups {
 public:
  /// `records` must outlive the object. Throws DataError if no record can be used, or if random
  /// negatives are requested and there is only one target, or too few texts of other targets for
  /// some record.
  ContrastGroups(std::span<const Record> records, const GroupOptions& options);

  std::span<const Record> records() const { return records_; }
  const GroupOptions& options() const { return options_; }

  /// Number of usable records: the groups of an epoch.
  int64_t num_groups() const { return static_cast<int64_t>(usable_.size()); }
  int64_t num_skipped() const { return num_skipped_; }
  const std::vector<int64_t>& usable_records() const { return usable_; }

  /// The order of `epoch` as record indices; without shuffling the order of the file.
  std::vector<int64_t> epoch_order(int64_t epoch) const;

  /// The texts of `record` in `epoch`, drawn without replacement; without shuffling the first ones.
  /// Random negatives are toxic texts of records of other targets (including records that are left
  /// out as groups). They are drawn even without shuffling, and are then the same in every epoch.
  DrawnGroup draw(int64_t record, int64_t epoch) const;

  /// The text that was drawn.
  const std::string& text(const DrawnText& drawn) const;

 private:
  /// Positions [begin, end) of the pool of random negatives.
  struct PoolRange {
    int64_t begin = 0;
    int64_t end = 0;
  };

  void fill_random_pool();
  /// The number of toxic texts of records of other targets, and the index-th of them.
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
  // The pool of random negatives: all toxic texts, record by record; the records of one target are
  // adjacent. Empty unless random negatives are requested.
  std::vector<int64_t> pool_records_;
  std::vector<int64_t> pool_starts_;  // position of each of these records' first text, then the end
  std::vector<PoolRange> target_ranges_;  // for each record: the range of its target's texts
};

}  // namespace cpx::data
