// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/adamw.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::training {

namespace {

constexpr std::string_view kStep = "step";

bool is_lora_b(const std::string& name) { return name.ends_with(".lora_B.weight"); }

torch::Tensor gradient_or_zeros(const torch::Tensor& parameter) {
  return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
}

// The tensor `name` of the file, which must have the shape of `expected`.
torch::Tensor state_tensor(const formats::SafetensorsFile& file, const std::string& name,
                           const torch::Tensor& expected) {
  if (!file.contains(name)) {
    throw_<DataError>("[optimizer state] {}: '{}' is missing. It belongs to another adapter.",
                      file.path().string(), name);
  }
  if (at::IntArrayRef(file.shape(name)) != expected.sizes()) {
    throw_<DataError>("[optimizer state] {}: '{}' is {}, expected {} (from the adapter).",
                      file.path().string(), name, tensor::shape_text(file.shape(name)),
                      tensor::shape_text(expected.sizes()));
  }
  return file.tensor(name);
}

}  // namespace

AdamW::AdamW(std::vector<nn::NamedParameter> parameters, const AdamWOptions& options)
    : options_(options), parameters_(std::move(parameters)), groups_(2) {
  groups_[1].ratio = options.lora_plus_ratio;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& value = parameters_[i].value;
    averages_.push_back(at::zeros_like(value).detach());
    square_averages_.push_back(at::zeros_like(value).detach());
    groups_[is_lora_b(parameters_[i].name) ? 1 : 0].members.push_back(i);
  }
}

void AdamW::zero_grad() {
  for (nn::NamedParameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

void AdamW::step(double learning_rate) {
  RECORD_USER_SCOPE("cpx::adamw");
  const torch::NoGradGuard no_grad;
  ++num_updates_;
  for (const Group& group : groups_) {
    if (group.members.empty()) continue;
    std::vector<torch::Tensor> values, gradients, averages, square_averages;
    for (const size_t i : group.members) {
      values.push_back(parameters_[i].value);
      gradients.push_back(gradient_or_zeros(parameters_[i].value));
      averages.push_back(averages_[i]);
      square_averages.push_back(square_averages_[i]);
    }
    const auto count = at::full({}, static_cast<double>(num_updates_),
                                at::device(values.front().device()).dtype(at::kFloat));
    const std::vector<torch::Tensor> counts(values.size(), count);
    at::_fused_adamw_(values, gradients, averages, square_averages, /*max_exp_avg_sqs=*/{}, counts,
                      learning_rate * group.ratio, options_.beta1, options_.beta2,
                      options_.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
}

std::vector<formats::NamedTensor> AdamW::state() const {
  std::vector<formats::NamedTensor> state;
  state.push_back({std::string(kStep), at::full({1}, num_updates_, at::kLong)});
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.push_back({parameters_[i].name + ".exp_avg", averages_[i]});
    state.push_back({parameters_[i].name + ".exp_avg_sq", square_averages_[i]});
  }
  return state;
}

void AdamW::load_state(const formats::SafetensorsFile& file) {
  std::set<std::string> expected = {std::string(kStep)};
  for (const nn::NamedParameter& parameter : parameters_) {
    expected.insert(parameter.name + ".exp_avg");
    expected.insert(parameter.name + ".exp_avg_sq");
  }
  for (const std::string& name : file.names()) {
    if (!expected.contains(name)) {
      throw_<DataError>("[optimizer state] {}: '{}' belongs to no tensor of the adapter.",
                        file.path().string(), name);
    }
  }
  const auto count = state_tensor(file, std::string(kStep), at::empty({1}));
  std::vector<torch::Tensor> averages, square_averages;
  for (const nn::NamedParameter& parameter : parameters_) {
    averages.push_back(state_tensor(file, parameter.name + ".exp_avg", parameter.value));
    square_averages.push_back(state_tensor(file, parameter.name + ".exp_avg_sq", parameter.value));
  }
  num_updates_ = count.item().toLong();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    averages_[i].copy_(averages[i]);
    square_averages_[i].copy_(square_averages[i]);
  }
}

double clip_grad_norm(std::span<const nn::NamedParameter> parameters, double max_norm) {
  RECORD_USER_SCOPE("cpx::clip_grad_norm");
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const nn::NamedParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  if (gradients.empty()) return 0.0;
  const auto norms = at::_foreach_norm(gradients, 2);
  const double norm = at::linalg_vector_norm(at::stack(norms), 2).item().toDouble();
  const double factor = max_norm / (norm + 1e-6);
  if (max_norm > 0.0 && std::isfinite(norm) && factor < 1.0) at::_foreach_mul_(gradients, factor);
  return norm;
}

}  // namespace cpx::training
