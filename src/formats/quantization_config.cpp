// SPDX-License-Identifier: Apache-2.0
// Keys as GPTQConfig and AwqConfig of transformers 5.23 read them, and as AutoGPTQ (9f7d3707,
// auto_gptq/quantization/config.py) and AutoAWQ (88e4c76b, awq/models/_config.py) write them.
#include "quantization_config.h"

#include <algorithm>

#include "cpx/core/error.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMethods = "gptq or awq (of other quantised models cpx reads the GGUF file)";

// The first of `keys` that is there, else the first.
std::string present_key(const JsonValue& fields, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (fields.find(key)) return key;
  }
  return *keys.begin();
}

std::optional<std::string> find_lower(const JsonValue& fields, const std::string& key) {
  auto text = fields.find_text(key);
  if (text) {
    std::ranges::transform(*text, text->begin(), [](unsigned char c) { return tolower(c); });
  }
  return text;
}

void read_sizes(const JsonValue& fields, QuantizationConfig& config) {
  const auto bits_key = present_key(fields, {"bits", "w_bit"});
  config.bits = fields.at(bits_key).integer();
  const bool is_gptq = config.method == "gptq";
  if (config.bits != 4 && !(is_gptq && config.bits == 8)) {
    fields.fail(bits_key, is_gptq ? "4 or 8" : "4");
  }
  const auto size_key = present_key(fields, {"group_size", "q_group_size"});
  config.group_size = fields.at(size_key).integer();
  if (config.group_size < 1 && config.group_size != -1) {
    fields.fail(size_key, "at least 1, or -1 for one group");
  }
}

// GPTQModel's settings by pattern of a layer's name. Behind "-:" stands a layer that is not
// quantised, which its tensors tell too.
void refuse_layers_of_their_own(const JsonValue& fields) {
  const auto dynamic = fields.find_object("dynamic");
  if (!dynamic) return;
  for (const auto& [pattern, settings] : dynamic->members()) {
    if (!pattern.starts_with("-:")) settings.fail("none: all layers quantised alike");
  }
}

void read_gptq(const JsonValue& fields, QuantizationConfig& config) {
  const auto format_key = present_key(fields, {"checkpoint_format", "format"});
  const auto format = find_lower(fields, format_key).value_or("gptq");
  if (format != "gptq" && format != "gptq_v2") fields.fail(format_key, "gptq or gptq_v2");
  config.has_zeros_less_one = format == "gptq";
  config.desc_act = fields.find_boolean("desc_act").value_or(false);
  if (fields.find_boolean("is_marlin_format").value_or(false)) {
    fields.fail("is_marlin_format", "false");
  }
  if (fields.find_text("pack_dtype").value_or("int32") != "int32") {
    fields.fail("pack_dtype", "int32");
  }
  refuse_layers_of_their_own(fields);
}

void read_awq(const JsonValue& fields) {
  const auto version_key = present_key(fields, {"version", "format"});
  if (find_lower(fields, version_key).value_or("gemm") != "gemm") {
    fields.fail(version_key, "gemm. Quantise the model again with this version");
  }
}

QuantizationConfig read_fields(const JsonValue& fields, const std::string& method) {
  QuantizationConfig config{.method = method};
  read_sizes(fields, config);
  if (method == "gptq") {
    read_gptq(fields, config);
  } else {
    read_awq(fields);
  }
  return config;
}

std::string checked_method(const JsonValue& fields, const std::string& method_when_absent) {
  const auto method = find_lower(fields, "quant_method").value_or(method_when_absent);
  if (method != "gptq" && method != "awq") fields.fail("quant_method", kMethods);
  return method;
}

}  // namespace

std::optional<QuantizationConfig> read_quantization_config(const fs::path& folder,
                                                           const JsonValue& config) {
  if (const auto fields = config.find_object("quantization_config")) {
    return read_fields(*fields, checked_method(*fields, ""));
  }
  for (const char* name : {"quantize_config.json", "quant_config.json"}) {
    const fs::path path = folder / name;
    std::error_code error;
    if (!fs::exists(path, error)) continue;
    const JsonValue fields = JsonValue::read_object("model_config", path);
    // Before there were several methods the files did not name theirs; only AWQ had versions.
    const bool has_version = fields.find("version").has_value();
    return read_fields(fields, checked_method(fields, has_version ? "awq" : "gptq"));
  }
  return std::nullopt;
}

}  // namespace cpx::formats
