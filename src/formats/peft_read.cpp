// SPDX-License-Identifier: Apache-2.0
#include <map>

#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/text.h"
#include "cpx/formats/peft.h"
#include "peft_keys.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

// The model's own key of a stored tensor.
std::string own_key(const std::string& place, const std::string& name) {
  if (!name.starts_with(kPeftPrefix)) {
    throw_<DataError>(
        "{}: {} is no tensor of a PEFT adapter, expected a name that begins with '{}'.", place,
        quote(name), kPeftPrefix);
  }
  const std::string key = name.substr(kPeftPrefix.size());
  if (key.find("lora_") != std::string::npos && !is_factor_a(key) && !is_factor_b(key)) {
    throw_<DataError>(
        "{}: {} belongs to a kind of adapter that cpx does not compute, expected names that end "
        "in {} or {}.",
        place, quote(name), kFactorASuffix, kFactorBSuffix);
  }
  return key;
}

void check_factor(const std::string& place, const NamedTensor& factor, int64_t rank,
                  std::string_view key) {
  const auto& value = factor.value;
  const int64_t rank_dim = is_factor_a(factor.name) ? 0 : 1;
  if (!value.is_floating_point()) {
    throw_<DataError>("{}: {} holds {}, expected floating point numbers.", place,
                      quote(factor.name), c10::toString(value.scalar_type()));
  }
  if (value.dim() != 2 || value.size(rank_dim) != rank) {
    throw_<DataError>(
        "{}: {} is [{}], expected {} (adapter_config.json: {} {}).", place, quote(factor.name),
        fmt::join(value.sizes(), ", "),
        rank_dim == 0 ? fmt::format("[{}, inputs]", rank) : fmt::format("[outputs, {}]", rank), key,
        rank);
  }
}

// Every module must have both factors.
void check_pairs(const std::string& place, const std::vector<NamedTensor>& factors) {
  std::map<std::string, std::pair<bool, bool>> modules;  // has A, has B
  for (const auto& factor : factors) {
    auto& [has_a, has_b] = modules[module_of_factor(factor.name)];
    (is_factor_a(factor.name) ? has_a : has_b) = true;
  }
  for (const auto& [module, has] : modules) {
    if (has.first && has.second) continue;
    const auto missing = has.first ? kFactorBSuffix : kFactorASuffix;
    throw_<DataError>("{}: {} is missing, but its other factor is there.", place,
                      quote(fmt::format("{}{}{}", kPeftPrefix, module, missing)));
  }
  if (modules.empty()) {
    throw_<DataError>("{}: holds no LoRA factors, expected names that end in {} and {}.", place,
                      kFactorASuffix, kFactorBSuffix);
  }
}

}  // namespace

fs::path peft_weights_file(const fs::path& folder) {
  const fs::path safetensors = folder / "adapter_model.safetensors";
  const fs::path torch = folder / "adapter_model.bin";
  std::error_code error;
  return !fs::exists(safetensors, error) && fs::exists(torch, error) ? torch : safetensors;
}

std::vector<std::string> peft_modules(const fs::path& folder) {
  const auto file = open_tensor_file(peft_weights_file(folder));
  const std::string place = fmt::format("[peft] {}", file->path().string());
  std::vector<std::string> modules;
  for (const auto& name : file->names()) {
    const std::string key = own_key(place, name);
    if (is_factor_a(key)) modules.push_back(module_of_factor(key));
  }
  return modules;
}

PeftAdapter read_peft(const fs::path& name) {
  const fs::path folder = resolve_hub_name(kPeftWhere, name, kExpectedAdapter);
  PeftAdapter adapter{.config = read_peft_config(folder),
                      .factors = {},
                      .base_tensors = {},
                      .folder = folder,
                      .file = peft_weights_file(folder)};
  const auto file = open_tensor_file(adapter.file);
  const std::string place = fmt::format("[peft] {}", adapter.file.string());
  for (const auto& key : file->names()) {
    NamedTensor tensor{own_key(place, key), file->tensor(key)};
    if (!is_factor_a(tensor.name) && !is_factor_b(tensor.name)) {
      adapter.base_tensors.push_back(std::move(tensor));
      continue;
    }
    const std::string module = module_of_factor(tensor.name);
    const bool has_own = adapter.config.own_layers.contains(module);
    check_factor(place, tensor, adapter.config.layer(module).rank, has_own ? "rank_pattern" : "r");
    adapter.factors.push_back(std::move(tensor));
  }
  check_pairs(place, adapter.factors);
  return adapter;
}

}  // namespace cpx::formats
