// SPDX-License-Identifier: Apache-2.0
// Keys and defaults as transformers' LlamaConfig and MistralConfig, versions 4 and 5.
#include "cpx/formats/model_config.h"

#include <array>

#include "cpx/core/error.h"
#include "json_fields.h"
#include "model_config_check.h"
#include "quote.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWhere = "model_config";

constexpr ModelConfigKeys kKeys = {
    .vocab_size = "vocab_size",
    .hidden_size = "hidden_size",
    .intermediate_size = "intermediate_size",
    .num_hidden_layers = "num_hidden_layers",
    .num_attention_heads = "num_attention_heads",
    .num_key_value_heads = "num_key_value_heads",
    .head_dim = "head_dim",
    .max_position_embeddings = "max_position_embeddings",
    .rms_norm_eps = "rms_norm_eps",
    .sliding_window = "sliding_window",
    .rope_theta = "rope_theta",
    .rope_factor = "factor",
    .bos_token_id = "bos_token_id",
    .eos_token_id = "eos_token_id",
};

// What the two kinds of model take where the file is silent.
struct Defaults {
  int64_t num_key_value_heads;  // 0: as many as attention heads
  int64_t max_position_embeddings;
  int64_t sliding_window;
};

constexpr Defaults kLlamaDefaults = {0, 2048, 0};
constexpr Defaults kMistralDefaults = {8, 4096 * 32, 4096};

constexpr const char* kSupported = "llama (LlamaForCausalLM) or mistral (MistralForCausalLM)";

// "llama" for LlamaForCausalLM and so on; empty for another class.
std::string kind_of_class(const Json& name) {
  if (name == "LlamaForCausalLM") return "llama";
  if (name == "MistralForCausalLM") return "mistral";
  return {};
}

// `model_type` decides; a class that is named must be one that cpx computes.
std::string read_architecture(const JsonFields& fields) {
  std::string kind = fields.find_text("model_type").value_or("");
  if (!kind.empty() && kind != "llama" && kind != "mistral") fields.fail("model_type", kSupported);
  if (const Json* classes = fields.find("architectures")) {
    if (!classes->is_array() || classes->empty()) fields.fail("architectures", kSupported);
    for (const Json& name : *classes) {
      const std::string kind_of_name = kind_of_class(name);
      if (kind_of_name.empty()) fields.fail("architectures", kSupported);
      if (kind.empty()) kind = kind_of_name;
    }
  }
  if (kind.empty()) fields.fail_missing("model_type");
  return kind;
}

void refuse_what_is_not_computed(const JsonFields& fields) {
  if (fields.find_text("hidden_act").value_or("silu") != "silu") {
    fields.fail("hidden_act", "silu");
  }
  if (fields.find("quantization_config") != nullptr) {
    fields.fail("quantization_config", "none: cpx reads unquantised folders and GGUF files");
  }
  if (fields.find_double("partial_rotary_factor").value_or(1.0) != 1.0) {
    fields.fail("partial_rotary_factor", "1");
  }
}

// Older files: rope_theta beside rope_scaling with `type` or `rope_type`; newer ones: all of it in
// rope_parameters. Where both are there, rope_scaling counts, as in transformers.
std::optional<JsonFields> find_rope_object(const JsonFields& fields) {
  if (auto scaling = fields.find_object("rope_scaling"); scaling && !scaling->object().empty()) {
    return scaling;
  }
  return fields.find_object("rope_parameters");
}

std::string read_rope_type(const JsonFields& rope) {
  constexpr const char* kExpected = "default, linear or llama3";
  for (const auto& [key, value] : rope.object().items()) {
    if (value.is_object()) rope.fail(key, "one set of rotary parameters for all layers");
  }
  for (const char* key : {"rope_type", "type"}) {
    const auto type = rope.find_text(key);
    if (!type) continue;
    if (*type != "default" && *type != "linear" && *type != "llama3") rope.fail(key, kExpected);
    return *type;
  }
  return "default";
}

double require_positive(const JsonFields& fields, const std::string& key) {
  const double value = fields.require_double(key);
  if (value <= 0.0) fields.fail(key, "more than 0");
  return value;
}

RopeConfig read_rope(const JsonFields& fields, int64_t max_positions) {
  RopeConfig config;
  config.theta = fields.find_double("rope_theta").value_or(config.theta);
  const auto rope = find_rope_object(fields);
  if (!rope) return config;
  config.theta = rope->find_double("rope_theta").value_or(config.theta);
  config.type = read_rope_type(*rope);
  if (rope->find_double("partial_rotary_factor").value_or(1.0) != 1.0) {
    rope->fail("partial_rotary_factor", "1");
  }
  if (config.type == "default") return config;
  config.factor = require_positive(*rope, "factor");
  if (config.type != "llama3") return config;
  config.low_freq_factor = require_positive(*rope, "low_freq_factor");
  config.high_freq_factor = require_positive(*rope, "high_freq_factor");
  if (config.high_freq_factor <= config.low_freq_factor) {
    rope->fail("high_freq_factor", "more than low_freq_factor");
  }
  config.original_max_position =
      rope->find_int("original_max_position_embeddings").value_or(max_positions);
  if (config.original_max_position <= 0) {
    rope->fail("original_max_position_embeddings", "more than 0");
  }
  return config;
}

// The default counts only where the key is absent: null means none.
int64_t read_sliding_window(const JsonFields& fields, int64_t value_when_absent) {
  if (!fields.find_bool("use_sliding_window").value_or(true)) return 0;
  if (!fields.object().contains("sliding_window")) return value_when_absent;
  return fields.find_int("sliding_window").value_or(0);
}

// As above: null means one for each attention head.
int64_t read_key_value_heads(const JsonFields& fields, int64_t num_heads,
                             int64_t value_when_absent) {
  if (!fields.object().contains("num_key_value_heads") && value_when_absent != 0) {
    return value_when_absent;
  }
  return fields.find_int("num_key_value_heads").value_or(num_heads);
}

// An id or a list of them; none where the key is absent.
std::vector<int64_t> token_ids(const JsonFields& fields, const std::string& key) {
  const Json* value = fields.find(key);
  std::vector<int64_t> ids;
  if (value == nullptr || !value->is_array()) {
    if (const auto id = fields.find_int(key)) ids.push_back(*id);
    return ids;
  }
  for (const Json& id : *value) {
    if (!id.is_number_integer()) fields.fail(key, "an integer or a list of them");
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

std::optional<int64_t> first_of(const std::vector<int64_t>& ids) {
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

void read_special_tokens(const fs::path& folder, const JsonFields& fields, ModelConfig& config) {
  config.bos_token_id = first_of(token_ids(fields, "bos_token_id"));
  config.stop_token_ids = token_ids(fields, "eos_token_id");
  config.eos_token_id = first_of(config.stop_token_ids);
  const fs::path path = folder / "generation_config.json";
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const Json json = read_json_object(kWhere, path);
  const JsonFields generation(fmt::format("[{}] {}", kWhere, path.string()), json);
  if (!config.bos_token_id) config.bos_token_id = first_of(token_ids(generation, "bos_token_id"));
  const std::vector<int64_t> ends = token_ids(generation, "eos_token_id");
  if (ends.empty()) return;
  config.stop_token_ids = ends;
  if (!config.eos_token_id) config.eos_token_id = ends.front();
}

std::string read_stored_dtype(const JsonFields& fields) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (const auto dtype = fields.find_text(key)) return *dtype;
  }
  return {};
}

void read_sizes(const JsonFields& fields, const Defaults& defaults, ModelConfig& config) {
  config.vocab_size = fields.require_int("vocab_size");
  config.hidden_size = fields.require_int("hidden_size");
  config.intermediate_size = fields.require_int("intermediate_size");
  config.num_hidden_layers = fields.require_int("num_hidden_layers");
  config.num_attention_heads = fields.require_int("num_attention_heads");
  config.num_key_value_heads =
      read_key_value_heads(fields, config.num_attention_heads, defaults.num_key_value_heads);
  config.head_dim = fields.find_int("head_dim")
                        .value_or(default_head_dim(config.hidden_size, config.num_attention_heads));
  config.max_position_embeddings =
      fields.find_int("max_position_embeddings").value_or(defaults.max_position_embeddings);
}

}  // namespace

ModelConfig read_model_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const Json json = read_json_object(kWhere, path);
  const std::string place = fmt::format("[{}] {}", kWhere, path.string());
  const JsonFields fields(place, json);

  ModelConfig config;
  config.source = "config.json";
  config.architecture = read_architecture(fields);
  refuse_what_is_not_computed(fields);
  const bool is_llama = config.architecture == "llama";
  const Defaults& defaults = is_llama ? kLlamaDefaults : kMistralDefaults;
  read_sizes(fields, defaults, config);
  config.rms_norm_eps = fields.find_double("rms_norm_eps").value_or(1e-6);
  config.tie_word_embeddings = fields.find_bool("tie_word_embeddings").value_or(false);
  if (is_llama) {  // MistralConfig has no biases, LlamaConfig no window: transformers ignores both
    config.attention_bias = fields.find_bool("attention_bias").value_or(false);
    config.mlp_bias = fields.find_bool("mlp_bias").value_or(false);
  } else {
    config.sliding_window = read_sliding_window(fields, defaults.sliding_window);
  }
  config.rope = read_rope(fields, config.max_position_embeddings);
  config.stored_dtype = read_stored_dtype(fields);
  read_special_tokens(folder, fields, config);
  check_model_config(place, config, kKeys);
  return config;
}

}  // namespace cpx::formats
