// SPDX-License-Identifier: Apache-2.0
// From records to a packed micro batch: which groups, their texts as ids, their counts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/packed_batch.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/objectives/perplexity_summary.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// What an epoch visits (groups, pairs), by micro batch.
class MicroBatchOrder {
 public:
  /// `order_of(epoch)` are the numbers of the `num_units`, in the order of the epoch. Throws
  /// DataError where an epoch has no micro batch.
  MicroBatchOrder(int64_t num_units, int64_t units_per_micro_batch, bool drop_last,
                  std::function<std::vector<int64_t>(int64_t epoch)> order_of);

  int64_t num_micro_batches() const { return num_micro_batches_; }
  /// The units of a micro batch; they stay where they are until another epoch is asked for.
  std::span<const int64_t> units(int64_t epoch, int64_t index);

 private:
  int64_t units_per_micro_batch_;
  std::function<std::vector<int64_t>(int64_t)> order_of_;
  int64_t num_micro_batches_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;  // of epoch_
};

/// The texts of some groups as ids.
struct GroupBatch {
  void add(std::vector<tokenizer::TokenId> text_ids, int64_t group, TextRole role);

  std::vector<std::vector<tokenizer::TokenId>> ids = {};  // owns what `texts` refers to
  std::vector<data::BatchText> texts = {};
  std::vector<int64_t> records = {};  // of each group
};

/// Drawn texts as ids, in the order of the draws.
struct DrawnBatch {
  GroupBatch batch = {};
  std::vector<data::DrawnText> drawn = {};  // what each of the batch's texts is

  /// The groups without what was left out.
  std::vector<data::DrawnGroup> groups() const;
};

/// Texts that were left out; each is warned of once, however often it is drawn.
class LeftOutTexts {
 public:
  /// Warns of the text, the first time; `where` is its record's place.
  void add(const data::DrawnText& drawn, const std::string& where);

 private:
  std::set<std::tuple<bool, int64_t, int64_t>> known_;  // is positive, record, text
};

/// The groups of one purpose, training or evaluation, in micro batches.
class GroupSource {
 public:
  /// The groups' records and the encoder must outlive the object. Throws DataError where, with
  /// drop_last, no micro batch is full.
  GroupSource(std::shared_ptr<const data::ContrastGroups> groups, const data::TextEncoder& encoder,
              int64_t groups_per_micro_batch, bool drop_last, bool shares_prefixes);
  GroupSource(const GroupSource&) = delete;
  GroupSource& operator=(const GroupSource&) = delete;

  int64_t num_micro_batches() const { return order_.num_micro_batches(); }

  /// The groups of a micro batch.
  std::vector<data::DrawnGroup> draw(int64_t epoch, int64_t index);

  /// Encodes the texts of `groups`. A text without a predicted token is left out with a warning;
  /// throws DataError for a drawn input without one, and for a group without a positive text or,
  /// where one is needed, a hard negative.
  DrawnBatch encode(std::span<const data::DrawnGroup> groups, bool needs_hard_negative);

  /// Packs the texts of `batch`, which the pack does not refer to.
  data::PackedBatch pack(const GroupBatch& batch) const;

  /// Counts, tokens and records of a micro batch: positive texts by their role.
  MicroBatchInfo info(const GroupBatch& batch, const data::PackedBatch& packed) const;

  const data::ContrastGroups& groups() const { return *groups_; }
  const data::TextEncoder& encoder() const { return encoder_; }

 private:
  const data::Record& record(int64_t index) const;

  std::shared_ptr<const data::ContrastGroups> groups_;
  const data::TextEncoder& encoder_;
  bool shares_prefixes_;
  MicroBatchOrder order_;
  LeftOutTexts left_out_;
};

/// Adds another micro batch's loss, contrast and sums; gradients are left out.
void add_result(objectives::ObjectiveResult& sum, const objectives::ObjectiveResult& other);

/// The positives as neutral and the hard negatives as toxic texts, for a summary.
void add_scored_texts(std::vector<objectives::ScoredText>& scored, const data::PackedBatch& packed,
                      std::span<const double> nll);

}  // namespace cpx::training
