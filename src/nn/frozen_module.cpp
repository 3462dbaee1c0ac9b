// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/frozen_module.h"

#include <algorithm>
#include <map>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::nn {

void FrozenModule::declare_frozen(const std::string& name, torch::Tensor& member,
                                  const std::vector<int64_t>& shape, kernels::BlockWeight* blocks) {
  member = register_parameter(name, at::empty(shape, at::device(at::kMeta).dtype(at::kFloat)),
                              /*requires_grad=*/false);
  names_.push_back(name);
  members_.push_back({.dense = &member, .blocks = blocks});
}

const FrozenModule::Members& FrozenModule::members_of(const std::string& name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  CPX_CHECK(found != names_.end(), "[set_frozen] no weight is called '{}'.", name);
  return members_[static_cast<size_t>(found - names_.begin())];
}

void FrozenModule::check_shape(const std::string& name, at::IntArrayRef actual) const {
  const auto expected = parameters_[name].sizes();
  CPX_CHECK(actual == expected, "[set_frozen] '{}' is {}, expected {}.", name,
            tensor::shape_text(actual), tensor::shape_text(expected));
}

void FrozenModule::set_frozen(const std::string& name, torch::Tensor value) {
  const Members& members = members_of(name);
  check_shape(name, value.sizes());
  *members.dense = std::move(value);
  parameters_[name] = *members.dense;
  if (members.blocks != nullptr) *members.blocks = kernels::BlockWeight();
}

bool FrozenModule::is_quantized() const {
  return std::ranges::any_of(members_, [](const Members& members) {
    return members.blocks != nullptr && members.blocks->is_defined();
  });
}

bool FrozenModule::can_be_blocks(const std::string& name) const {
  return members_of(name).blocks != nullptr;
}

kernels::BlockWeight FrozenModule::blocks_of(const std::string& name) const {
  const Members& members = members_of(name);
  return members.blocks != nullptr ? *members.blocks : kernels::BlockWeight{};
}

void FrozenModule::set_frozen(const std::string& name, kernels::BlockWeight value) {
  const Members& members = members_of(name);
  CPX_CHECK(members.blocks != nullptr, "[set_frozen] '{}' cannot be quantised.", name);
  check_shape(name, {value.num_outputs(), value.num_inputs()});
  *members.dense = torch::Tensor();
  parameters_[name] =
      at::empty({value.num_outputs(), value.num_inputs()}, at::device(at::kMeta).dtype(at::kFloat));
  *members.blocks = std::move(value);
}

void hold_in_memory(torch::nn::Module& root) {
  std::map<const void*, torch::Tensor> copies;  // by the address of the mapped data
  const auto copy_of = [&](const torch::Tensor& mapped) {
    const auto [copy, is_new] = copies.try_emplace(mapped.const_data_ptr());
    if (is_new) copy->second = mapped.clone();
    return copy->second;
  };
  // LibTorch marks storage over memory that it does not own, such as a mapped file, as not
  // resizable.
  const auto is_mapped = [](const torch::Tensor& data) { return !data.storage().resizable(); };
  for (const auto& module : root.modules()) {
    auto* frozen = dynamic_cast<FrozenModule*>(module.get());
    if (frozen == nullptr) continue;
    for (const std::string& name : frozen->frozen_names()) {
      if (auto blocks = frozen->blocks_of(name); blocks.is_defined()) {
        if (!is_mapped(blocks.bytes)) continue;
        blocks.bytes = copy_of(blocks.bytes);
        frozen->set_frozen(name, std::move(blocks));
      } else if (const auto weight = frozen->named_parameters(/*recurse=*/false)[name];
                 is_mapped(weight)) {
        frozen->set_frozen(name, copy_of(weight));
      }
    }
  }
}

}  // namespace cpx::nn
