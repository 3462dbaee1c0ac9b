// SPDX-License-Identifier: Apache-2.0
// The weights that a model needs, and their check against the files before any is read.
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

/// Sets every slot to its weight in `dtype` on `device`.
void fill_slots(const std::vector<WeightSlot>& slots, const WeightSource& source,
                torch::Dtype dtype, const torch::Device& device);

/// Rules about names in the files of one kind of model.
struct NameRules {
  /// A sentence that says why `missing` may be missing; may be empty.
  std::function<std::string(const std::string& missing)> missing_hint;
  /// True for a tensor that the model rightly does not use.
  std::function<bool(const std::string& name)> is_passed_over;
};

/// Compares the names in `source`, which was opened at `path`, with the slots. Throws DataError if
/// weights are missing; logs a warning about tensors that are not used.
void check_names(const std::filesystem::path& path, const std::vector<WeightSlot>& slots,
                 const WeightSource& source, const NameRules& rules);

/// Throws DataError if the stored shape differs from the slot's. `dimension_sources` name for each
/// dimension the entry of the file `config_name` that it follows from: "intermediate_size 48".
void check_shape(const WeightSlot& slot, const WeightSource& source, std::string_view config_name,
                 const std::vector<std::string>& dimension_sources);

}  // namespace cpx::models
