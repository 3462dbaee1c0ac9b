// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/formats/peft.h"
#include "peft_keys.h"

namespace cpx::formats {

namespace {

using OrderedJson = nlohmann::ordered_json;

// PEFT writes alpha as an integer where it is one.
OrderedJson number(double value) {
  const bool is_integer = std::nearbyint(value) == value && std::abs(value) < 1e15;
  return is_integer ? OrderedJson(static_cast<int64_t>(value)) : OrderedJson(value);
}

// The last parts of the modules' names, sorted.
std::set<std::string> module_names(std::span<const NamedTensor> factors) {
  std::set<std::string> names;
  for (const auto& factor : factors) {
    const std::string module = module_of_factor(factor.name);
    names.insert(module.substr(module.rfind('.') + 1));
  }
  return names;
}

OrderedJson config_json(const PeftConfig& config, std::span<const NamedTensor> factors) {
  OrderedJson json;
  json["peft_type"] = "LORA";
  json["task_type"] = "CAUSAL_LM";
  json["base_model_name_or_path"] =
      config.base_model.empty() ? OrderedJson() : OrderedJson(config.base_model);
  json["r"] = config.rank;
  json["lora_alpha"] = number(config.alpha);
  json["lora_dropout"] = config.dropout;
  if (config.target_modules == std::vector<std::string>{"all-linear"}) {
    json["target_modules"] = module_names(factors);
  } else {
    json["target_modules"] = config.target_modules;
  }
  json["use_rslora"] = config.rslora;
  json["use_dora"] = false;
  json["bias"] = "none";
  json["fan_in_fan_out"] = false;
  json["init_lora_weights"] = true;
  json["inference_mode"] = true;
  for (const char* key : {"modules_to_save", "layers_to_transform", "layers_pattern",
                          "exclude_modules", "auto_mapping", "revision"}) {
    json[key] = nullptr;
  }
  if (!config.revision.empty()) json["revision"] = config.revision;
  for (const char* key : {"rank_pattern", "alpha_pattern"}) json[key] = OrderedJson::object();
  return json;
}

void check_factors(const PeftConfig& config, std::span<const NamedTensor> factors) {
  CPX_CHECK(config.own_layers.empty(), "[write_peft] expected one rank and alpha for all layers.");
  CPX_CHECK(!factors.empty(), "[write_peft] there are no factors to write.");
  for (const auto& [name, value] : factors) {
    const bool is_a = is_factor_a(name);
    CPX_CHECK(is_a || is_factor_b(name), "[write_peft] '{}' is no factor: expected '*{}' or '*{}'.",
              name, kFactorASuffix, kFactorBSuffix);
    CPX_CHECK(value.dim() == 2 && value.size(is_a ? 0 : 1) == config.rank,
              "[write_peft] '{}' does not fit rank {}.", name, config.rank);
  }
}

}  // namespace

void write_peft(const std::filesystem::path& folder, const PeftConfig& config,
                std::span<const NamedTensor> factors) {
  check_factors(config, factors);
  std::vector<NamedTensor> stored;
  for (const auto& factor : factors) {
    stored.push_back({std::string(kPeftPrefix) + factor.name, factor.value});
  }
  write_safetensors(folder / "adapter_model.safetensors", stored, {{"format", "pt"}});

  constexpr auto kReplace = OrderedJson::error_handler_t::replace;
  OutputFile file(folder / "adapter_config.json");
  file.write(
      config_json(config, factors).dump(/*indent=*/2, ' ', /*ensure_ascii=*/false, kReplace));
  file.write("\n");
  file.sync_and_close();
}

}  // namespace cpx::formats
