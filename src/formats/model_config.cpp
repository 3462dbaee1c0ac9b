// SPDX-License-Identifier: Apache-2.0
// Keys and defaults as transformers' LlamaConfig and MistralConfig, versions 4 and 5.
#include "cpx/formats/model_config.h"

#include <algorithm>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "model_config_check.h"
#include "quantization_config.h"

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

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return tolower(c); });
  return result;
}

// The lower-case names of the classes; empty where the key holds something else.
std::vector<std::string> class_names(const JsonValue& fields) {
  std::vector<std::string> names;
  const auto classes = fields.find("architectures");
  if (!classes || !classes->is_list()) return names;
  for (const JsonValue& name : classes->elements()) {
    if (name.is_text()) names.push_back(lower(name.text_view()));
  }
  return names;
}

// "llama" for LlamaForCausalLM and so on, however its letters are; empty for another class.
std::string kind_of_classes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name == "llamaforcausallm") return "llama";
    if (name == "mistralforcausallm") return "mistral";
  }
  return {};
}

// `model_type` decides, as in transformers, and a class only where that is absent. Models with
// another head are told as such.
std::string read_architecture(const JsonValue& fields, ModelHead head) {
  const std::vector<std::string> names = class_names(fields);
  std::string kind = fields.find_text("model_type").value_or("");
  if (kind.empty()) kind = kind_of_classes(names);
  if (kind.empty()) {
    if (!names.empty()) fields.fail("architectures", kSupported);
    fields.fail_missing("model_type");
  }
  if (kind != "llama" && kind != "mistral") fields.fail("model_type", kSupported);
  for (const std::string& name : names) {
    const bool has_other_head =
        name.ends_with("classification") || name.ends_with("questionanswering");
    if (has_other_head && head != ModelHead::kClassifier) fields.fail("architectures", kSupported);
  }
  return kind;
}

void refuse_what_is_not_computed(const JsonValue& fields) {
  if (fields.find_text("hidden_act").value_or("silu") != "silu") fields.fail("hidden_act", "silu");
  if (fields.find_number("partial_rotary_factor").value_or(1.0) != 1.0) {
    fields.fail("partial_rotary_factor", "1");
  }
}

// Older files: rope_theta beside rope_scaling with `type` or `rope_type`; newer ones: all of it in
// rope_parameters. Where both are there, rope_scaling counts, as in transformers.
std::optional<JsonValue> find_rope_object(const JsonValue& fields) {
  if (auto scaling = fields.find_object("rope_scaling"); scaling && scaling->size() > 0) {
    return scaling;
  }
  return fields.find_object("rope_parameters");
}

std::string read_rope_type(const JsonValue& rope) {
  constexpr const char* kExpected = "default, linear or llama3";
  for (const auto& [key, value] : rope.members()) {
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

double require_positive(const JsonValue& fields, const std::string& key) {
  const double value = fields.at(key).number();
  if (value <= 0.0) fields.fail(key, "more than 0");
  return value;
}

RopeConfig read_rope(const JsonValue& fields, int64_t max_positions) {
  RopeConfig config;
  config.theta = fields.find_number("rope_theta").value_or(config.theta);
  const auto rope = find_rope_object(fields);
  if (!rope) return config;
  config.theta = rope->find_number("rope_theta").value_or(config.theta);
  config.type = read_rope_type(*rope);
  if (rope->find_number("partial_rotary_factor").value_or(1.0) != 1.0) {
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
      rope->find_integer("original_max_position_embeddings").value_or(max_positions);
  if (config.original_max_position <= 0) {
    rope->fail("original_max_position_embeddings", "more than 0");
  }
  return config;
}

// The default counts only where the key is absent: null means none.
int64_t read_sliding_window(const JsonValue& fields, int64_t value_when_absent) {
  if (!fields.find_boolean("use_sliding_window").value_or(true)) return 0;
  if (!fields.contains("sliding_window")) return value_when_absent;
  return fields.find_integer("sliding_window").value_or(0);
}

// As above: null means one for each attention head.
int64_t read_key_value_heads(const JsonValue& fields, int64_t num_heads,
                             int64_t value_when_absent) {
  if (!fields.contains("num_key_value_heads") && value_when_absent != 0) return value_when_absent;
  return fields.find_integer("num_key_value_heads").value_or(num_heads);
}

// An id or a list of them; none where the key is absent.
std::vector<int64_t> token_ids(const JsonValue& fields, const std::string& key,
                               int64_t vocab_size) {
  const auto value = fields.find(key);
  std::vector<int64_t> ids;
  if (!value) return ids;
  if (value->is_list()) {
    for (const JsonValue& id : value->elements()) {
      if (!id.as_integer()) fields.fail(key, "an integer or a list of them");
      ids.push_back(id.integer());
    }
  } else {
    ids.push_back(value->integer());
  }
  // Older files write -1 for none, and some an id beyond their vocabulary: neither can be drawn.
  std::erase_if(ids, [&](int64_t id) { return id < 0 || id >= vocab_size; });
  return ids;
}

std::optional<int64_t> first_of(const std::vector<int64_t>& ids) {
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

void read_special_tokens(const fs::path& folder, const JsonValue& fields, ModelConfig& config) {
  const int64_t size = config.vocab_size;
  config.bos_token_id = first_of(token_ids(fields, "bos_token_id", size));
  config.stop_token_ids = token_ids(fields, "eos_token_id", size);
  config.eos_token_id = first_of(config.stop_token_ids);
  const fs::path path = folder / "generation_config.json";
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const JsonValue generation = JsonValue::read_object(kWhere, path);
  if (!config.bos_token_id) {
    config.bos_token_id = first_of(token_ids(generation, "bos_token_id", size));
  }
  const std::vector<int64_t> ends = token_ids(generation, "eos_token_id", size);
  if (ends.empty()) return;
  config.stop_token_ids = ends;
  if (!config.eos_token_id) config.eos_token_id = ends.front();
}

std::string read_stored_dtype(const JsonValue& fields) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto dtype = fields.find(key);
    if (dtype && dtype->is_text()) return dtype->text();
  }
  return {};
}

void read_sizes(const JsonValue& fields, const Defaults& defaults, ModelConfig& config) {
  config.vocab_size = fields.at("vocab_size").integer();
  config.hidden_size = fields.at("hidden_size").integer();
  config.intermediate_size = fields.at("intermediate_size").integer();
  config.num_hidden_layers = fields.at("num_hidden_layers").integer();
  config.num_attention_heads = fields.at("num_attention_heads").integer();
  config.num_key_value_heads =
      read_key_value_heads(fields, config.num_attention_heads, defaults.num_key_value_heads);
  config.head_dim = fields.find_integer("head_dim")
                        .value_or(default_head_dim(config.hidden_size, config.num_attention_heads));
  config.max_position_embeddings =
      fields.find_integer("max_position_embeddings").value_or(defaults.max_position_embeddings);
}

}  // namespace

ModelConfig read_model_config(const fs::path& folder, ModelHead head) {
  const fs::path path = folder / "config.json";
  const JsonValue fields = JsonValue::read_object(kWhere, path);

  ModelConfig config;
  config.source = "config.json";
  config.architecture = read_architecture(fields, head);
  refuse_what_is_not_computed(fields);
  const bool is_llama = config.architecture == "llama";
  const Defaults& defaults = is_llama ? kLlamaDefaults : kMistralDefaults;
  read_sizes(fields, defaults, config);
  config.rms_norm_eps = fields.find_number("rms_norm_eps").value_or(1e-6);
  config.tie_word_embeddings = fields.find_boolean("tie_word_embeddings").value_or(false);
  if (is_llama) {  // MistralConfig has no biases, LlamaConfig no window: transformers ignores both
    config.attention_bias = fields.find_boolean("attention_bias").value_or(false);
    config.mlp_bias = fields.find_boolean("mlp_bias").value_or(false);
  } else {
    config.sliding_window = read_sliding_window(fields, defaults.sliding_window);
  }
  config.rope = read_rope(fields, config.max_position_embeddings);
  config.stored_dtype = read_stored_dtype(fields);
  config.quantization = read_quantization_config(folder, fields);
  read_special_tokens(folder, fields, config);
  if (head == ModelHead::kClassifier) {
    config.pad_token_id = first_of(token_ids(fields, "pad_token_id", config.vocab_size));
  }
  check_model_config(fields.place(), config, kKeys);
  return config;
}

}  // namespace cpx::formats
