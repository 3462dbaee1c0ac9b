// SPDX-License-Identifier: Apache-2.0
// Labels as transformers' PreTrainedConfig, versions 4 and 5.
#include "cpx/formats/classifier_config.h"

#include <algorithm>
#include <map>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "text_limit.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kClassifierWhere = "classifier_config";
constexpr std::string_view kOtherHeads[] = {"ForMaskedLM", "ForTokenClassification",
                                            "ForQuestionAnswering", "ForMultipleChoice",
                                            "ForCausalLM"};
// Far above any model.
constexpr int64_t kMaxLabels = 100'000;

struct ClassifierType {
  std::string_view model_type;
  std::string_view class_name;
  bool is_decoder;
};

constexpr ClassifierType kClassifierTypes[] = {
    {"bert", "BertForSequenceClassification", false},
    {"distilbert", "DistilBertForSequenceClassification", false},
    {"roberta", "RobertaForSequenceClassification", false},
    {"xlm-roberta", "XLMRobertaForSequenceClassification", false},
    {"llama", "LlamaForSequenceClassification", true},
    {"mistral", "MistralForSequenceClassification", true},
};

// `model_type` decides, as in transformers; a class with another head has no scores.
const ClassifierType& type_of_classifier(const JsonValue& fields) {
  const auto type = fields.find_text("model_type");
  if (!type) fields.fail_missing("model_type");
  const auto* known = std::ranges::find(kClassifierTypes, *type, &ClassifierType::model_type);
  if (known == std::end(kClassifierTypes)) {
    fields.fail("model_type",
                "bert, distilbert, roberta, xlm-roberta, llama or mistral (a class "
                "...ForSequenceClassification)");
  }
  const auto classes = fields.find("architectures");
  if (!classes || !classes->is_list()) return *known;
  for (const JsonValue& name : classes->elements()) {
    const auto is_other = [&](std::string_view head) {
      return name.is_text() && name.text_view().ends_with(head);
    };
    if (std::ranges::any_of(kOtherHeads, is_other)) {
      fields.fail("architectures", fmt::format("[\"{}\"], a classifier", known->class_name));
    }
  }
  return *known;
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

}  // namespace

ClassifierConfig read_classifier_config(const fs::path& folder) {
  const JsonValue fields = JsonValue::read_object(kClassifierWhere, folder / "config.json");
  const bool is_decoder = type_of_classifier(fields).is_decoder;
  ClassifierConfig config;
  config.labels = read_labels(fields);
  config.label_kind = read_label_kind(fields, config.labels.size());
  if (is_decoder) {
    auto body = read_model_config(folder, ModelHead::kClassifier);
    config.max_tokens = read_text_limit(kClassifierWhere, folder, body.max_position_embeddings);
    config.body = std::move(body);
  } else {
    const auto body = read_encoder_config(folder);
    config.max_tokens = body.max_tokens;
    config.body = body;
  }
  return config;
}

}  // namespace cpx::formats
