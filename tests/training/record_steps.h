// SPDX-License-Identifier: Apache-2.0
// Step tasks on records: the groups and pairs are made here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cpx/data/preference_pairs.h"
#include "cpx/training/contrast_step.h"
#include "cpx/training/group_step.h"
#include "cpx/training/preference_step.h"
#include "tiny_run.h"

namespace cpx::training {

struct RecordOptions {
  data::GroupOptions groups = {};
  int64_t groups_per_micro_batch = 2;
  bool drop_last = false;
  bool shares_prefixes = false;
};

/// 2 positives and 2 hard negatives a group, not shuffled.
RecordOptions tiny_groups(int64_t groups_per_micro_batch);
/// One of each a group, one group a micro batch, not shuffled.
RecordOptions single_texts();

/// Groups of records; these and the encoder must outlive it. `eval_records` may be empty.
GroupData group_data(std::span<const data::Record> train_records,
                     std::span<const data::Record> eval_records, const data::TextEncoder& encoder,
                     const RecordOptions& options);

struct ContrastStepOptions {
  data::GroupOptions groups = {};
  int64_t groups_per_micro_batch = 2;
  bool drop_last = false;
  objectives::ContrastiveOptions objective = {};
  std::shared_ptr<NllCache> base_cache = nullptr;
};

/// Groups of 2 positives and 2 hard negatives, one group a micro batch, base values in use.
ContrastStepOptions tiny_step_options();

std::unique_ptr<GroupStep> contrast_step(std::span<const data::Record> train_records,
                                         std::span<const data::Record> eval_records,
                                         const data::TextEncoder& encoder,
                                         const ContrastStepOptions& options);

struct PairStepOptions {
  data::PairOptions pairs = {};
  int64_t pairs_per_micro_batch = 2;
  bool drop_last = false;
  bool shares_prompts = true;
};

/// Pairs of items; these and the encoder must outlive it. `eval_items` may be empty.
PairData pair_data(std::span<const data::PreferenceItem> train_items,
                   std::span<const data::PreferenceItem> eval_items,
                   const data::PairEncoder& encoder, const PairStepOptions& options);

PreferenceObjective dpo_objective(const objectives::DpoOptions& options);
PreferenceObjective simpo_objective(const objectives::SimpoOptions& options);

/// Counts the passes of the frozen base: those with the adapter off.
class BaseCountingModel : public TinyModel {
 public:
  torch::Tensor hidden_states(const nn::PackedTokens& tokens,
                              const nn::ForwardOptions& options) override {
    if (nn::AdapterOffGuard::is_active()) ++num_base_passes;
    return TinyModel::hidden_states(tokens, options);
  }

  int64_t num_base_passes = 0;
};

}  // namespace cpx::training
