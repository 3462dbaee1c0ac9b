// SPDX-License-Identifier: Apache-2.0
// Contrast shards as groups of texts, with the texts that are retained beside them: the data of
// every objective over groups.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/record.h"
#include "cpx/data/variant_items.h"
#include "cpx/training/group_step.h"
#include "retain_keys.h"
#include "retained_texts.h"
#include "train_data.h"

namespace cpx::recipes {

/// A text as the model sees it.
struct ShownText {
  std::string_view role = {};
  std::vector<tokenizer::TokenId> ids = {};
  bool is_cut = false;
};

/// What an objective over contrast groups asks of its data.
struct GroupObjective {
  /// How many texts of a record take part. Order and seed are the run's.
  data::GroupOptions groups = {};
  /// The records' inputs are encoded, though they are no text of the group.
  bool encodes_inputs = false;
  /// null: it holds no texts.
  const RetainKeys* retain = nullptr;
  /// What the model sees of a group; empty: the drawn texts as they are.
  std::function<std::vector<ShownText>(const data::GroupTexts& texts,
                                       const data::TextEncoder& encoder)>
      items = {};
  /// The step task, without the retained texts.
  std::function<std::unique_ptr<training::StepTask>(const training::GroupData& groups,
                                                    const TaskContext& context)>
      make_task = {};
};

/// The data of a run with such an objective. `config`, and what `objective` refers to, must outlive
/// them.
std::unique_ptr<RunData> contrast_run_data(const TrainConfig& config, GroupObjective objective);

/// What no micro batch of `texts_in_group` texts a group can exceed, each `longest` tokens long,
/// with the pass over retained texts.
BatchSizes group_batch_bound(const TrainConfig& config, int64_t texts_in_group, int64_t longest,
                             const RetainKeys* retain = nullptr);

/// Items that data::transfer_items() and the like put together, as the model sees them.
template <class Item>
std::vector<ShownText> shown_items(std::vector<Item> items) {
  std::vector<ShownText> shown;
  for (Item& item : items) {
    shown.push_back({.role = role_name(item.role), .ids = std::move(item.ids)});
  }
  return shown;
}

}  // namespace cpx::recipes
