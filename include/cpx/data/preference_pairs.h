// SPDX-License-Identifier: Apache-2.0
// Decides which pairs an optimizer step sees: a pure function of (seed, epoch), so that any
// position of a run can be reached directly.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/data/preferences.h"

namespace cpx::data {

struct PairOptions {
  /// Maximum number of pairs from one item in an epoch; 0: all pairings.
  int64_t pairs_per_group = 1;
  /// Number of rejected answers in a pair; 0: all of the item.
  int64_t rejected_per_chosen = 1;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// A chosen answer against one or several rejected ones: indices into the item's lists.
struct DrawnPair {
  int64_t item = 0;
  int64_t chosen = 0;
  std::vector<int64_t> rejected = {};
};

/// The pairs of a data set. The rejected answers of an item are split into blocks of
/// `rejected_per_chosen`, in drawn order (a rest waits for another epoch); a pair is a chosen
/// answer and a block. Within an epoch no (chosen, block) pair repeats, and no answer is reused
/// before all answers of its side were used once. Items without a chosen answer or a full block are
/// left out and counted.
class PreferencePairs {
 public:
  /// `items` must outlive the object. Throws DataError if no item gives a pair.
  PreferencePairs(std::span<const PreferenceItem> items, const PairOptions& options);

  /// Pairs of an epoch, the same number in each.
  int64_t num_pairs() const { return starts_.back(); }
  int64_t num_items() const { return static_cast<int64_t>(usable_.size()); }
  int64_t num_skipped() const { return std::ssize(items_) - num_items(); }

  /// The order of `epoch`: pair numbers 0..num_pairs()-1; without shuffling item by item.
  std::vector<int64_t> epoch_order(int64_t epoch) const;

  /// Pair number `pair` of `epoch`; without shuffling the first answers come first.
  DrawnPair draw(int64_t pair, int64_t epoch) const;

  const PreferenceItem& item(const DrawnPair& drawn) const { return items_[drawn.item]; }

 private:
  int64_t num_blocks(const PreferenceItem& item) const;
  int64_t num_pairings(const PreferenceItem& item) const;
  std::vector<int64_t> answer_order(int64_t n, TextRole role, int64_t item, int64_t epoch) const;

  std::span<const PreferenceItem> items_;
  PairOptions options_;
  std::vector<int64_t> usable_;
  std::vector<int64_t> starts_;  // number of each usable item's first pair, then the end
};

}  // namespace cpx::data
