// SPDX-License-Identifier: Apache-2.0
// The model of an evaluation, with one adapter after the other.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <torch/types.h>

#include "cpx/models/llama.h"

namespace cpx::recipes {

/// --weights of weights that are computed with in --dtype, as training has them.
inline constexpr const char* kDenseWeights = "dense";

/// A model as the flags --model, --weights and --device describe it.
struct MeasuredModelPlace {
  std::filesystem::path model = {};
  std::string weights = kDenseWeights;  // or a models::WeightFormat
  torch::Device device = torch::kCPU;
};

/// The compute type that `name`, a value of --dtype, means for the model.
torch::Dtype measured_dtype(const MeasuredModelPlace& place, const std::string& name);

/// Loads the base when it is first needed and keeps it; models with adapters share its weights.
class MeasuredModel {
 public:
  MeasuredModel(MeasuredModelPlace place, torch::Dtype dtype);

  bool is_loaded() const { return base_ != nullptr; }
  /// The base, or the base with `adapter`; the last one asked for is kept.
  std::shared_ptr<models::Llama> with(const std::optional<std::filesystem::path>& adapter);

 private:
  std::shared_ptr<models::Llama> load() const;

  MeasuredModelPlace place_;
  torch::Dtype dtype_;
  std::shared_ptr<models::Llama> base_;
  std::shared_ptr<models::Llama> model_;  // the last one
  std::optional<std::filesystem::path> adapter_;
};

}  // namespace cpx::recipes
