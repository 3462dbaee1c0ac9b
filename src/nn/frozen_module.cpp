// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/frozen_module.h"

#include <algorithm>
#include <map>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::nn {

void FrozenModule::declare_frozen(const std::string& name, torch::Tensor& member,
                                  const std::vector<int64_t>& shape) {
  member = register_parameter(name, at::empty(shape, at::device(at::kMeta).dtype(at::kFloat)),
                              /*requires_grad=*/false);
  names_.push_back(name);
  members_.push_back(&member);
}

void FrozenModule::set_frozen(const std::string& name, torch::Tensor value) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  CPX_CHECK(found != names_.end(), "[set_frozen] no weight is called '{}'.", name);
  torch::Tensor& member = *members_[static_cast<size_t>(found - names_.begin())];
  CPX_CHECK(member.sizes() == value.sizes(), "[set_frozen] '{}' is {}, expected {}.", name,
            tensor::shape_text(value.sizes()), tensor::shape_text(member.sizes()));
  member = std::move(value);
  parameters_[name] = member;
}

void hold_in_memory(torch::nn::Module& root) {
  std::map<const void*, torch::Tensor> copies;  // by the data that they are of
  for (const auto& module : root.modules()) {
    auto* frozen = dynamic_cast<FrozenModule*>(module.get());
    if (frozen == nullptr) continue;
    for (const std::string& name : frozen->frozen_names()) {
      const torch::Tensor weight = frozen->named_parameters(/*recurse=*/false)[name];
      // Storage over memory that is not LibTorch's own cannot grow.
      if (weight.storage().resizable()) continue;
      const auto [copy, is_new] = copies.try_emplace(weight.const_data_ptr());
      if (is_new) copy->second = weight.clone();
      frozen->set_frozen(name, copy->second);
    }
  }
}

}  // namespace cpx::nn
