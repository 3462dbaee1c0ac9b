// SPDX-License-Identifier: Apache-2.0
// Keys and defaults as transformers' RobertaConfig, versions 4 and 5.
#include "cpx/formats/roberta_config.h"

#include <algorithm>
#include <map>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "model_config_check.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRobertaWhere = "roberta_config";
constexpr const char* kClass = "RobertaForSequenceClassification";
constexpr std::string_view kOtherHeads[] = {"ForMaskedLM", "ForTokenClassification",
                                            "ForQuestionAnswering", "ForMultipleChoice",
                                            "ForCausalLM"};
// Far above any model.
constexpr int64_t kMaxLabels = 100'000;

void check_architecture(const JsonValue& fields) {
  const auto type = fields.find_text("model_type");
  if (!type) fields.fail_missing("model_type");
  if (*type != "roberta") {
    fields.fail("model_type", fmt::format("roberta: cpx reads {} classifiers", kClass));
  }
  // `model_type` decides, as in transformers; a class with another head has no scores.
  const auto classes = fields.find("architectures");
  if (!classes || !classes->is_list()) return;
  for (const JsonValue& name : classes->elements()) {
    const auto is_other = [&](std::string_view head) {
      return name.is_text() && name.text_view().ends_with(head);
    };
    if (std::ranges::any_of(kOtherHeads, is_other)) {
      fields.fail("architectures", fmt::format("[\"{}\"], a classifier", kClass));
    }
  }
}

void refuse_other_encoders(const JsonValue& fields) {
  const auto expect_text = [&](const char* key, const char* computed) {
    if (fields.find_text(key).value_or(computed) != computed) fields.fail(key, computed);
  };
  expect_text("hidden_act", "gelu");
  expect_text("position_embedding_type", "absolute");
  if (fields.find_boolean("is_decoder").value_or(false)) fields.fail("is_decoder", "false");
  if (fields.find("quantization_config")) {
    fields.fail("quantization_config", "none: cpx reads unquantised classifiers");
  }
}

void read_size(const JsonValue& fields, const char* key, int64_t smallest, int64_t& size) {
  size = fields.find_integer(key).value_or(size);
  if (size < smallest || size > kMaxSize) {
    fields.fail(key, fmt::format("{} to {}", smallest, kMaxSize));
  }
}

void read_sizes(const JsonValue& fields, RobertaConfig& config) {
  read_size(fields, "vocab_size", 1, config.vocab_size);
  read_size(fields, "hidden_size", 1, config.hidden_size);
  read_size(fields, "intermediate_size", 1, config.intermediate_size);
  read_size(fields, "num_hidden_layers", 1, config.num_hidden_layers);
  read_size(fields, "num_attention_heads", 1, config.num_attention_heads);
  read_size(fields, "pad_token_id", 0, config.pad_token_id);
  // Room for a token between the two special ones.
  read_size(fields, "max_position_embeddings", config.pad_token_id + 4,
            config.max_position_embeddings);
  read_size(fields, "type_vocab_size", 1, config.type_vocab_size);
  if (config.hidden_size % config.num_attention_heads != 0) {
    fields.fail("num_attention_heads",
                fmt::format("a divisor of 'hidden_size' ({})", config.hidden_size));
  }
  config.layer_norm_eps = fields.find_number("layer_norm_eps").value_or(config.layer_norm_eps);
  if (config.layer_norm_eps <= 0.0) fields.fail("layer_norm_eps", "more than 0");
}

std::vector<std::string> numbered_labels(int64_t count) {
  std::vector<std::string> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back(fmt::format("LABEL_{}", i));
  return labels;
}

// A number is a name too: some files have {"0": 0, "1": 1}.
std::string label_name(const JsonValue& name) {
  if (name.is_list() || name.is_object()) name.fail("a label's name");
  return name.is_text() ? name.text() : name.json();
}

// id2label: {"0": "neutral", "1": "toxic"}; files that have none may have num_labels.
std::vector<std::string> read_labels(const JsonValue& fields) {
  const auto names = fields.find_object("id2label");
  if (!names) {
    const int64_t count = fields.find_integer("num_labels").value_or(2);
    if (count < 1 || count > kMaxLabels) {
      fields.fail("num_labels", fmt::format("1 to {}", kMaxLabels));
    }
    return numbered_labels(count);
  }
  std::map<std::string, JsonValue, std::less<>> by_index;
  for (const auto& [index, name] : names->members()) by_index.emplace(index, name);
  std::vector<std::string> labels;
  for (size_t i = 0; i < by_index.size(); ++i) {
    const auto found = by_index.find(std::to_string(i));
    if (found == by_index.end() || found->second.is_null()) names->fail_missing(std::to_string(i));
    labels.push_back(label_name(found->second));
  }
  if (labels.empty()) fields.fail("id2label", "at least one label");
  return labels;
}

// As transformers' pipeline for text classification decides.
LabelKind read_label_kind(const JsonValue& fields, size_t num_labels) {
  const auto type = fields.find_text("problem_type");
  if (type == "regression") return LabelKind::kValues;
  if (type == "multi_label_classification") return LabelKind::kIndependent;
  if (type && *type != "single_label_classification") {
    fields.fail("problem_type",
                "single_label_classification, multi_label_classification or regression");
  }
  return num_labels == 1 ? LabelKind::kIndependent : LabelKind::kOneOf;
}

// Positions begin behind the padding's.
int64_t read_max_tokens(const fs::path& folder, const RobertaConfig& config) {
  const int64_t most = config.max_position_embeddings - config.pad_token_id - 1;
  const fs::path path = folder / "tokenizer_config.json";
  std::error_code error;
  if (!fs::exists(path, error)) return most;
  const JsonValue fields = JsonValue::read_object(kRobertaWhere, path);
  if (fields.find_text("truncation_side").value_or("right") != "right") {
    fields.fail("truncation_side", "right");
  }
  // "No limit" is written as 1e30.
  const double own = fields.find_number("model_max_length").value_or(static_cast<double>(most));
  if (own < 3.0) fields.fail("model_max_length", "3 or more");
  return static_cast<int64_t>(std::min(own, static_cast<double>(most)));
}

}  // namespace

RobertaConfig read_roberta_config(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const JsonValue fields = JsonValue::read_object(kRobertaWhere, path);
  check_architecture(fields);
  refuse_other_encoders(fields);
  RobertaConfig config;
  read_sizes(fields, config);
  config.labels = read_labels(fields);
  config.label_kind = read_label_kind(fields, config.labels.size());
  config.max_tokens = read_max_tokens(folder, config);
  return config;
}

}  // namespace cpx::formats
