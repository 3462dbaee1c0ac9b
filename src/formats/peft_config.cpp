// SPDX-License-Identifier: Apache-2.0
// Keys of peft.LoraConfig 0.21; what would change the computation in a way that cpx does not know
// is refused by its key.
#include <algorithm>
#include <regex>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/json.h"
#include "cpx/formats/peft.h"
#include "peft_keys.h"

namespace cpx::formats {

namespace {

constexpr int64_t kMaxRank = 1 << 20;

// Switches that must be off. (PEFT itself switches fan_in_fan_out off for linear layers.)
constexpr const char* kSwitches[] = {"use_dora", "lora_bias", "use_qalora", "ensure_weight_tying"};

// Lists and objects that must be absent or empty: they add tensors, or change what is computed.
constexpr const char* kExtras[] = {
    "modules_to_save", "layer_replication",       "target_parameters", "trainable_token_indices",
    "arrow_config",    "alora_invocation_tokens", "use_bdlora",        "kasa_config",
    "velora_config",   "monteclora_config",
};

// Keys that choose among the layers beside `target_modules`: which ones it were the tensors tell.
constexpr const char* kChoices[] = {"exclude_modules", "layers_to_transform", "layers_pattern"};

bool is_given(const JsonValue& fields, const char* key) {
  const auto value = fields.find(key);
  if (!value || (value->is_boolean() && !value->boolean())) return false;
  const bool is_empty = (value->is_list() || value->is_object()) && value->size() == 0;
  return !is_empty;
}

// Other kinds (pissa, olora, loftq, corda, ...) subtract the first factors from the base weights
// when PEFT loads the adapter, or train other parts: the stored factors alone are not the model.
void check_initialisation(const JsonValue& fields) {
  const auto kind = fields.find("init_lora_weights");
  if (!kind || kind->is_boolean()) return;
  for (const char* known : {"gaussian", "eva", "orthogonal"}) {
    if (kind->is(known)) return;
  }
  kind->fail(
      "true, false, gaussian, eva or orthogonal: other kinds change the base weights or "
      "freeze a factor. Save it with PEFT's path_initial_model_for_weight_conversion");
}

void refuse_other_adapters(const JsonValue& fields) {
  if (fields.find_text("peft_type").value_or("") != "LORA") fields.fail("peft_type", "LORA");
  if (fields.find_text("bias").value_or("none") != "none") fields.fail("bias", "none");
  for (const char* key : kSwitches) {
    if (fields.find_boolean(key).value_or(false)) fields.fail(key, "false");
  }
  for (const char* key : kExtras) {
    if (is_given(fields, key)) fields.fail(key, "nothing: cpx computes plain LoRA");
  }
  check_initialisation(fields);
}

// The names of a list without others among them, else nothing.
std::optional<std::vector<std::string>> listed_targets(const JsonValue& fields) {
  const auto value = fields.find("target_modules");
  if (!value) return std::nullopt;
  if (value->is("all-linear")) return std::vector<std::string>{"all-linear"};
  if (!value->is_list()) return std::nullopt;  // a regular expression
  std::vector<std::string> modules;
  for (const JsonValue& name : value->elements()) modules.push_back(name.text());
  return modules;
}

std::vector<std::string> read_target_modules(const JsonValue& fields,
                                             const std::filesystem::path& folder) {
  auto modules = listed_targets(fields);
  const bool has_choices =
      std::ranges::any_of(kChoices, [&](const char* key) { return is_given(fields, key); });
  if (!modules || modules->empty() || has_choices) modules = peft_modules(folder);
  std::sort(modules->begin(), modules->end());
  modules->erase(std::unique(modules->begin(), modules->end()), modules->end());
  return std::move(*modules);
}

// The first member of a pattern that means `module`, as peft's get_pattern_key() finds it.
std::optional<JsonValue> find_pattern(const std::optional<JsonValue>& patterns,
                                      const std::string& module) {
  if (!patterns) return std::nullopt;
  for (const auto& [key, value] : patterns->members()) {
    try {
      if (std::regex_match(module, std::regex(fmt::format("(.*\\.)?({})", key)))) return value;
    } catch (const std::regex_error&) {
      value.fail("a layer's name or a regular expression as its key");
    }
  }
  return std::nullopt;
}

int64_t checked_rank(const JsonValue& value) {
  const auto rank = value.as_integer();
  if (!rank) value.fail("an integer");
  if (*rank < 1 || *rank > kMaxRank) value.fail("1 to 1048576");
  return *rank;
}

double checked_alpha(const JsonValue& value) {
  const double alpha = value.number();
  if (alpha <= 0.0) value.fail("more than 0");
  return alpha;
}

// Only modules that have tensors: patterns may name others.
std::map<std::string, PeftLayer> read_own_layers(const JsonValue& fields, const PeftConfig& config,
                                                 const std::filesystem::path& folder) {
  std::map<std::string, PeftLayer> layers;
  if (!is_given(fields, "rank_pattern") && !is_given(fields, "alpha_pattern")) return layers;
  const auto ranks = fields.find_object("rank_pattern");
  const auto alphas = fields.find_object("alpha_pattern");
  for (const std::string& module : peft_modules(folder)) {
    PeftLayer layer{.rank = config.rank, .alpha = config.alpha};
    if (const auto rank = find_pattern(ranks, module)) layer.rank = checked_rank(*rank);
    if (const auto alpha = find_pattern(alphas, module)) layer.alpha = checked_alpha(*alpha);
    const bool is_own = layer.rank != config.rank || layer.alpha != config.alpha;
    if (is_own) layers[module] = layer;
  }
  return layers;
}

}  // namespace

PeftLayer PeftConfig::layer(const std::string& module) const {
  const auto found = own_layers.find(module);
  return found == own_layers.end() ? PeftLayer{.rank = rank, .alpha = alpha} : found->second;
}

PeftConfig read_peft_config(const std::filesystem::path& name) {
  const std::filesystem::path folder = resolve_hub_name(kPeftWhere, name, kExpectedAdapter);
  const auto path = folder / "adapter_config.json";
  const JsonValue fields = JsonValue::read_object(kPeftWhere, path);
  refuse_other_adapters(fields);

  PeftConfig config;
  if (const auto rank = fields.find("r")) config.rank = checked_rank(*rank);
  if (const auto alpha = fields.find("lora_alpha")) config.alpha = checked_alpha(*alpha);
  config.dropout = fields.find_number("lora_dropout").value_or(config.dropout);
  if (config.dropout < 0.0 || config.dropout >= 1.0) {
    fields.fail("lora_dropout", "at least 0 and less than 1");
  }
  config.rslora = fields.find_boolean("use_rslora").value_or(false);
  config.target_modules = read_target_modules(fields, folder);
  config.own_layers = read_own_layers(fields, config, folder);
  const auto base_model = fields.find("base_model_name_or_path");  // for messages alone
  if (base_model && base_model->is_text()) config.base_model = base_model->text();
  if (const auto revision = fields.find("revision"); revision && revision->is_text()) {
    config.revision = revision->text();
  }
  return config;
}

}  // namespace cpx::formats
