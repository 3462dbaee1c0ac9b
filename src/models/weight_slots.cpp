// SPDX-License-Identifier: Apache-2.0
#include "weight_slots.h"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text.h"
#include "cpx/tensor/device.h"

namespace cpx::models {

namespace {

// A message shows this many names of a longer list.
constexpr size_t kMaxListed = 5;

std::string list_text(const std::vector<std::string>& names) {
  const std::vector<std::string> shown(names.begin(),
                                       names.begin() + std::min(names.size(), kMaxListed));
  const auto text = fmt::format("'{}'", fmt::join(shown, "', '"));
  return names.size() <= kMaxListed
             ? text
             : fmt::format("{} and {} more", text, names.size() - kMaxListed);
}

std::string hint_for(const std::string& missing, const std::vector<std::string>& surplus,
                     const NameRules& rules) {
  if (const auto nearest = nearest_name(missing, surplus)) {
    return fmt::format("The file has '{}', which the model has no place for.", *nearest);
  }
  const std::string hint = rules.missing_hint(missing);
  return hint.empty() ? "Is the file of this model, and complete?" : hint;
}

// The config entries of those dimensions that differ.
std::string differing_sources(const std::vector<int64_t>& actual,
                              const std::vector<int64_t>& expected,
                              const std::vector<std::string>& sources) {
  std::vector<std::string> differing;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (actual.size() != expected.size() || actual[i] != expected[i]) {
      differing.push_back(sources[i]);
    }
  }
  return fmt::format("{}", fmt::join(differing, ", "));
}

}  // namespace

std::vector<WeightSlot> slots_of(const torch::nn::Module& model) {
  std::vector<WeightSlot> slots;
  for (const auto& item : model.named_modules()) {
    auto* module = dynamic_cast<nn::FrozenModule*>(item.value().get());
    if (module == nullptr) continue;
    for (const auto& name : module->frozen_names()) {
      slots.push_back({fmt::format("{}.{}", item.key(), name), module, name});
    }
  }
  return slots;
}

void fill_slots(const std::vector<WeightSlot>& slots, const WeightSource& source,
                torch::Dtype dtype, const torch::Device& device) {
  for (const WeightSlot& slot : slots) {
    slot.module->set_frozen(slot.name, source.tensor(slot.key, dtype).to(device));
  }
}

void check_names(const std::filesystem::path& path, const std::vector<WeightSlot>& slots,
                 const WeightSource& source, const NameRules& rules) {
  std::set<std::string> expected;
  std::vector<std::string> missing;
  for (const WeightSlot& slot : slots) {
    const auto name = source.name_of(slot.key);
    expected.insert(name);
    if (!source.contains(name)) missing.push_back(name);
  }
  std::vector<std::string> surplus;
  for (const auto& name : source.names()) {
    if (!expected.contains(name) && !source.is_ignored(name) && !rules.is_passed_over(name)) {
      surplus.push_back(name);
    }
  }
  if (!missing.empty()) {
    throw_<DataError>("[load_model] {}: {} missing: {}. {}", path.string(),
                      counted(std::ssize(missing), "tensor is", "tensors are"), list_text(missing),
                      hint_for(missing.front(), surplus, rules));
  }
  if (!surplus.empty()) {
    log_warning("[load_model] {}: {} not used: {}.", path.string(),
                counted(std::ssize(surplus), "tensor is", "tensors are"), list_text(surplus));
  }
}

void check_shape(const WeightSlot& slot, const WeightSource& source, std::string_view config_name,
                 const std::vector<std::string>& dimension_sources) {
  const auto name = source.name_of(slot.key);
  const auto actual = source.shape(name);
  const auto expected = slot.module->named_parameters(/*recurse=*/false)[slot.name].sizes().vec();
  if (actual == expected) return;
  throw_<DataError>("[load_model] {}: '{}' is {}, expected {} ({}: {}).",
                    source.file_of(name).string(), name, tensor::shape_text(actual),
                    tensor::shape_text(expected), config_name,
                    differing_sources(actual, expected, dimension_sources));
}

}  // namespace cpx::models
