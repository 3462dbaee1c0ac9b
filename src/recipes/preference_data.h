// SPDX-License-Identifier: Apache-2.0
// Chosen against rejected answers, from contrast shards or preference files: the data of the
// preference objectives.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "answer_data.h"
#include "cpx/config/fields.h"
#include "cpx/data/preference_pairs.h"
#include "cpx/training/preference_step.h"

namespace cpx::recipes {

class ConfigFaults;

/// Keys that the preference objectives share.
struct PreferenceKeys {
  PromptKeys prompts = {};
  data::PairOptions pairs = {};  // order and seed are the run's
  bool share_prompts = true;

  void visit_fields(config::FieldVisitor& visit);
  /// Adds a fault where a pair has another number of rejected answers than one.
  void check_single_rejected(std::string_view objective, ConfigFaults& faults) const;
  /// What no micro batch can exceed.
  BatchSizes batch_bound(const TrainConfig& config) const;
};

/// The data of a run with `objective`. `config` and `keys` must outlive them.
std::unique_ptr<RunData> preference_run_data(const TrainConfig& config, const PreferenceKeys& keys,
                                             training::PreferenceObjective objective);

}  // namespace cpx::recipes
