// SPDX-License-Identifier: Apache-2.0
// Files as sentence-transformers writes them, versions 2 to 5.
#include "cpx/formats/sentence_config.h"

#include <algorithm>

#include "cpx/core/error.h"
#include "cpx/core/json.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSentenceWhere = "sentence_config";
constexpr const char* kMeanMode = "pooling_mode_mean_tokens";
constexpr const char* kFirstMode = "pooling_mode_cls_token";

bool has_file(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// One mode is true; the vectors of several would be joined. Newer files name the mode.
SentencePooling read_pooling(const fs::path& file) {
  const JsonValue fields = JsonValue::read_object(kSentenceWhere, file);
  if (const auto mode = fields.find("pooling_mode")) {
    if (mode->is("mean")) return SentencePooling::kMean;
    if (mode->is("cls")) return SentencePooling::kFirstToken;
    mode->fail("mean or cls");
  }
  for (const auto& [key, value] : fields.members()) {
    const bool is_mode = key.starts_with("pooling_mode_") && value.is_boolean() && value.boolean();
    if (is_mode && key != kMeanMode && key != kFirstMode) {
      fields.fail(std::string(key), fmt::format("{} or {} alone", kMeanMode, kFirstMode));
    }
  }
  const bool is_mean = fields.find_boolean(kMeanMode).value_or(false);
  const bool is_first = fields.find_boolean(kFirstMode).value_or(false);
  if (is_mean == is_first) {
    fields.fail(kMeanMode, fmt::format("{} or {} alone", kMeanMode, kFirstMode));
  }
  return is_mean ? SentencePooling::kMean : SentencePooling::kFirstToken;
}

// "sentence_transformers.models.Pooling" is "Pooling".
std::string_view class_of(std::string_view type) { return type.substr(type.rfind('.') + 1); }

// The modules follow each other: a transformer, its pooling, and at times a norm.
void read_modules(const fs::path& folder, SentenceConfig& config) {
  const JsonValue modules = JsonValue::read_file(kSentenceWhere, folder / "modules.json");
  for (const JsonValue& module : modules.elements()) {
    const JsonValue type = module.at("type");
    const std::string_view name = class_of(type.text_view());
    const std::string relative = module.text_or("path", "");
    const fs::path path = relative.empty() ? folder : folder / relative;
    if (name == "Transformer") {
      config.encoder_folder = path;
    } else if (name == "Pooling") {
      config.pooling = read_pooling(path / "config.json");
    } else if (name != "Normalize") {
      type.fail("Transformer, Pooling or Normalize (of sentence_transformers)");
    }
  }
}

int64_t read_sequence_limit(const fs::path& folder, int64_t most) {
  const fs::path file = folder / "sentence_bert_config.json";
  if (!has_file(file)) return most;
  const JsonValue fields = JsonValue::read_object(kSentenceWhere, file);
  if (fields.find_boolean("do_lower_case").value_or(false)) fields.fail("do_lower_case", "false");
  const int64_t own = fields.find_integer("max_seq_length").value_or(most);
  if (own < 3) fields.fail("max_seq_length", "3 or more");
  return std::min(own, most);
}

}  // namespace

SentenceConfig read_sentence_config(const fs::path& folder) {
  SentenceConfig config;
  config.encoder_folder = folder;
  if (has_file(folder / "modules.json")) read_modules(folder, config);
  config.encoder = read_encoder_config(config.encoder_folder);
  config.max_tokens = read_sequence_limit(config.encoder_folder, config.encoder.max_tokens);
  return config;
}

}  // namespace cpx::formats
