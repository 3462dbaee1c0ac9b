// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/frozen_module.h"

#include <algorithm>

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

}  // namespace cpx::nn
