// SPDX-License-Identifier: Apache-2.0
// The frozen policy of a run: which model it is, and where what it says is kept.
#pragma once

#include <memory>
#include <string>

#include "cpx/models/llama.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/preference_step.h"

namespace cpx::recipes {

/// The reference of a run.
struct ReferenceModel {
  /// A model of its own on the same weights; null: the trained one with its adapter off.
  std::shared_ptr<models::Llama> model = nullptr;
  training::PreferenceReference reference = {};  // refers to `model`
  /// What it is, for the log; empty where the objective has none.
  std::string description = {};
};

/// Makes the reference of `trained`, before any step: the adapter in objective.reference_adapter;
/// else, where the adapter that training starts from changes anything, a frozen copy of it; else
/// the base. Throws DataError for an adapter that cannot be read or does not fit.
ReferenceModel make_reference(const TrainConfig& config, const models::Llama& trained);

/// Where what the base says of texts is kept (centroid base, hold, retain); null where the run asks
/// for nothing of it, or is to keep nothing.
std::shared_ptr<training::NllCache> make_base_cache(const TrainConfig& config,
                                                    const models::Llama& trained);

}  // namespace cpx::recipes
