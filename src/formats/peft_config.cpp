// SPDX-License-Identifier: Apache-2.0
// Keys of peft.LoraConfig 0.21; what would change the computation in a way that cpx does not know
// is refused by its key.
#include <algorithm>

#include "cpx/core/error.h"
#include "cpx/formats/peft.h"
#include "json_fields.h"

namespace cpx::formats {

namespace {

constexpr const char* kPeftWhere = "peft";
constexpr int64_t kMaxRank = 1 << 20;

// Switches that must be off.
constexpr const char* kSwitches[] = {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora",
                                     "ensure_weight_tying"};

// Lists and objects that must be absent or empty.
constexpr const char* kExtras[] = {
    "rank_pattern",        "alpha_pattern",     "modules_to_save",
    "layers_to_transform", "layer_replication", "exclude_modules",
    "target_parameters",   "megatron_config",   "trainable_token_indices",
    "arrow_config",        "use_bdlora",        "alora_invocation_tokens",
    "kasa_config",         "velora_config",     "monteclora_config",
};

// Other kinds (pissa, olora, loftq, corda, ...) subtract the first factors from the base weights
// when PEFT loads the adapter, or train other parts: the stored factors alone are not the model.
void check_initialisation(const JsonFields& fields) {
  const Json* kind = fields.find("init_lora_weights");
  if (kind == nullptr || kind->is_boolean()) return;
  for (const char* known : {"gaussian", "eva", "orthogonal"}) {
    if (*kind == known) return;
  }
  fields.fail("init_lora_weights",
              "true, false, gaussian, eva or orthogonal: other kinds change the base weights or "
              "freeze a factor. Save it with PEFT's path_initial_model_for_weight_conversion");
}

void refuse_other_adapters(const JsonFields& fields) {
  if (fields.find_text("peft_type").value_or("") != "LORA") fields.fail("peft_type", "LORA");
  if (fields.find_text("bias").value_or("none") != "none") fields.fail("bias", "none");
  for (const char* key : kSwitches) {
    if (fields.find_bool(key).value_or(false)) fields.fail(key, "false");
  }
  for (const char* key : kExtras) {
    const Json* value = fields.find(key);
    const bool is_empty = value == nullptr || (value->is_structured() && value->empty());
    if (!is_empty && *value != false) fields.fail(key, "nothing: cpx computes plain LoRA");
  }
  check_initialisation(fields);
}

std::vector<std::string> read_target_modules(const JsonFields& fields) {
  constexpr const char* kKey = "target_modules";
  constexpr const char* kExpected = "a list of module names, or \"all-linear\"";
  const Json* value = fields.find(kKey);
  if (value == nullptr) fields.fail_missing(kKey);
  if (*value == "all-linear") return {"all-linear"};
  // PEFT takes any other single text for a regular expression.
  if (!value->is_array() || value->empty()) fields.fail(kKey, kExpected);
  std::vector<std::string> modules;
  for (const Json& name : *value) {
    if (!name.is_string() || name.get_ref<const std::string&>().empty()) {
      fields.fail(kKey, kExpected);
    }
    modules.push_back(name.get<std::string>());
  }
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  return modules;
}

}  // namespace

PeftConfig read_peft_config(const std::filesystem::path& folder) {
  const auto path = folder / "adapter_config.json";
  const Json json = read_json_object(kPeftWhere, path);
  const JsonFields fields(fmt::format("[{}] {}", kPeftWhere, path.string()), json);
  refuse_other_adapters(fields);

  PeftConfig config;
  config.rank = fields.find_int("r").value_or(config.rank);
  if (config.rank < 1 || config.rank > kMaxRank) fields.fail("r", "1 to 1048576");
  config.alpha = fields.find_double("lora_alpha").value_or(config.alpha);
  if (config.alpha <= 0.0) fields.fail("lora_alpha", "more than 0");
  config.dropout = fields.find_double("lora_dropout").value_or(config.dropout);
  if (config.dropout < 0.0 || config.dropout >= 1.0) {
    fields.fail("lora_dropout", "at least 0 and less than 1");
  }
  config.rslora = fields.find_bool("use_rslora").value_or(false);
  config.target_modules = read_target_modules(fields);
  config.base_model = fields.find_text("base_model_name_or_path").value_or("");
  return config;
}

}  // namespace cpx::formats
