// SPDX-License-Identifier: Apache-2.0
// The places for weights in a model, checked against what is on disk before anything is read.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/nn/frozen_module.h"
#include "weight_source.h"

namespace cpx::models {

/// A weight to be filled in.
struct WeightSlot {
  std::string key;
  nn::FrozenModule* module;
  std::string name;  // within the module
};

/// All frozen weights of `model`, in its order.
std::vector<WeightSlot> slots_of(const torch::nn::Module& model);

/// What a kind of model knows of the names in its files.
struct NameRules {
  /// A sentence that says why `missing` may be so, or nothing.
  std::function<std::string(const std::string& missing)> missing_hint;
  /// True for a tensor without a place that is rightly not used.
  std::function<bool(const std::string& name)> is_passed_over;
};

/// Compares the names of `source`, which was opened at `path`, with the slots: throws DataError
/// where weights are missing, warns of tensors that are not used.
void check_names(const std::filesystem::path& path, const std::vector<WeightSlot>& slots,
                 const WeightSource& source, const NameRules& rules);

/// Throws DataError where the stored shape is not the slot's. `dimension_sources` say what decides
/// about each dimension, in the file `config_name`: "intermediate_size 48".
void check_shape(const WeightSlot& slot, const WeightSource& source, std::string_view config_name,
                 const std::vector<std::string>& dimension_sources);

}  // namespace cpx::models
