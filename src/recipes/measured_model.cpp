// SPDX-License-Identifier: Apache-2.0
#include "measured_model.h"

#include <utility>

#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"

namespace cpx::recipes {

torch::Dtype measured_dtype(const MeasuredModelPlace& place, const std::string& name) {
  if (const auto wanted = tensor::parse_compute_dtype(name)) return *wanted;
  if (place.weights == kDenseWeights) return tensor::choose_compute_dtype(place.device);
  return models::decoding_dtype(place.model, models::parse_weight_format(place.weights),
                                place.device);
}

MeasuredModel::MeasuredModel(MeasuredModelPlace place, torch::Dtype dtype)
    : place_(std::move(place)), dtype_(dtype) {}

std::shared_ptr<models::Llama> MeasuredModel::with(
    const std::optional<std::filesystem::path>& adapter) {
  if (model_ != nullptr && adapter_ == adapter) return model_;
  if (base_ == nullptr) base_ = load();
  model_ = adapter ? models::with_same_weights(*base_) : base_;
  adapter_ = adapter;
  if (adapter) models::attach_adapter(*model_, formats::read_peft(*adapter));
  return model_;
}

std::shared_ptr<models::Llama> MeasuredModel::load() const {
  if (place_.weights == kDenseWeights) {
    return models::load_model(place_.model, dtype_, place_.device);
  }
  return models::load_for_decoding(place_.model, models::parse_weight_format(place_.weights),
                                   dtype_, place_.device);
}

}  // namespace cpx::recipes
