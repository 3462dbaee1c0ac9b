// SPDX-License-Identifier: Apache-2.0
// Which labelled answers an optimizer step sees: a pure function of (seed, epoch), so that any
// position of a run can be reached at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/core/text_role.h"
#include "cpx/data/preferences.h"

namespace cpx::data {

/// Which answers an epoch has, and in which order.
struct LabelledOptions {
  /// At most so many chosen answers of an item in an epoch, as desirable ones; 0: all.
  int64_t desirable_per_prompt = 1;
  /// The same of its rejected answers, as undesirable ones.
  int64_t undesirable_per_prompt = 1;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// An answer: its place in a list of its item.
struct DrawnAnswer {
  int64_t item = 0;
  bool is_desirable = true;
  int64_t answer = 0;
};

/// The labelled answers of a data set. No answer comes twice in an epoch; which of an item's come
/// is drawn by f(seed, epoch, item). Items without an answer are left out and counted.
class LabelledAnswers {
 public:
  /// `items` must outlive the object. Throws DataError when no item has an answer.
  LabelledAnswers(std::span<const PreferenceItem> items, const LabelledOptions& options);

  /// Answers of an epoch, the same number in each.
  int64_t num_answers() const { return starts_.back(); }
  int64_t num_desirable() const { return num_desirable_; }
  int64_t num_items() const { return std::ssize(usable_); }
  int64_t num_skipped() const { return std::ssize(items_) - num_items(); }

  /// The order of `epoch`: numbers 0..num_answers()-1; without shuffling item by item, the
  /// desirable ones first.
  std::vector<int64_t> epoch_order(int64_t epoch) const;

  /// The answer of that number in `epoch`; without shuffling an item's first ones come.
  DrawnAnswer draw(int64_t number, int64_t epoch) const;

  /// The item whose answer was drawn.
  const PreferenceItem& item(const DrawnAnswer& drawn) const { return items_[drawn.item]; }
  /// The answer that was drawn.
  const std::string& text(const DrawnAnswer& drawn) const;

 private:
  int64_t num_of_side(const PreferenceItem& item, bool is_desirable) const;

  std::span<const PreferenceItem> items_;
  LabelledOptions options_;
  std::vector<int64_t> usable_;
  std::vector<int64_t> starts_;  // number of each usable item's first answer, then the end
  int64_t num_desirable_ = 0;
};

}  // namespace cpx::data
