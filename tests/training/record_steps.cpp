// SPDX-License-Identifier: Apache-2.0
#include "record_steps.h"

namespace cpx::training {

RecordOptions tiny_groups(int64_t groups_per_micro_batch) {
  return {.groups = {.num_positives = 2, .num_hard_negatives = 2, .shuffle = false, .seed = 5},
          .groups_per_micro_batch = groups_per_micro_batch};
}

RecordOptions single_texts() {
  return {.groups = {.num_positives = 1, .num_hard_negatives = 1, .shuffle = false, .seed = 5},
          .groups_per_micro_batch = 1};
}

GroupData group_data(std::span<const data::Record> train_records,
                     std::span<const data::Record> eval_records, const data::TextEncoder& encoder,
                     const RecordOptions& options) {
  GroupData data{.train = std::make_shared<data::ContrastGroups>(train_records, options.groups),
                 .encoder = encoder,
                 .groups_per_micro_batch = options.groups_per_micro_batch,
                 .drop_last = options.drop_last,
                 .shares_prefixes = options.shares_prefixes};
  if (!eval_records.empty()) {
    data.eval = std::make_shared<data::ContrastGroups>(
        eval_records, evaluation_groups(options.groups, eval_records));
  }
  return data;
}

ContrastStepOptions tiny_step_options() {
  return {.groups = {.num_positives = 2, .num_hard_negatives = 2, .seed = 5},
          .groups_per_micro_batch = 1,
          .objective = {.centroid = objectives::ContrastiveOptions::Centroid::kBase,
                        .distance = objectives::ContrastiveOptions::Distance::kSigned,
                        .hold = 0.5}};
}

std::unique_ptr<GroupStep> contrast_step(std::span<const data::Record> train_records,
                                         std::span<const data::Record> eval_records,
                                         const data::TextEncoder& encoder,
                                         const ContrastStepOptions& options) {
  return contrast_step(group_data(train_records, eval_records, encoder,
                                  {.groups = options.groups,
                                   .groups_per_micro_batch = options.groups_per_micro_batch,
                                   .drop_last = options.drop_last}),
                       options.objective, options.base_cache);
}

PairData pair_data(std::span<const data::PreferenceItem> train_items,
                   std::span<const data::PreferenceItem> eval_items,
                   const data::PairEncoder& encoder, const PairStepOptions& options) {
  PairData data{.train = std::make_shared<data::PreferencePairs>(train_items, options.pairs),
                .encoder = encoder,
                .pairs_per_micro_batch = options.pairs_per_micro_batch,
                .drop_last = options.drop_last,
                .shares_prompts = options.shares_prompts};
  if (!eval_items.empty()) {
    data::PairOptions in_file_order = options.pairs;
    in_file_order.shuffle = false;
    data.eval = std::make_shared<data::PreferencePairs>(eval_items, in_file_order);
  }
  return data;
}

PreferenceObjective dpo_objective(const objectives::DpoOptions& options) {
  return {.name = "dpo",
          .loss = [options](const auto& batch,
                            const auto& step) { return objectives::dpo(batch, options, step); },
          .has_reference = true};
}

PreferenceObjective simpo_objective(const objectives::SimpoOptions& options) {
  return {.name = "simpo", .loss = [options](const auto& batch, const auto& step) {
            return objectives::simpo(batch, options, step);
          }};
}

}  // namespace cpx::training
