// SPDX-License-Identifier: Apache-2.0
// The config of a text classifier: its body, its labels, and how many tokens it reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "cpx/core/label_kind.h"
#include "cpx/formats/encoder_config.h"
#include "cpx/formats/model_config.h"

namespace cpx::formats {

/// A classifier of texts: an encoder with a head on its first token (BertForSequenceClassification,
/// ...), or a decoder with one on its last token (LlamaForSequenceClassification, ...).
struct ClassifierConfig {
  std::variant<EncoderConfig, ModelConfig> body;
  std::vector<std::string> labels = {"LABEL_0", "LABEL_1"};
  LabelKind label_kind = LabelKind::kOneOf;
  /// Maximum length of a text with its special tokens; see EncoderConfig.
  int64_t max_tokens = 0;
};

/// From `folder`/config.json and tokenizer_config.json. Throws DataError with the file, the key,
/// its value and the supported values; the error for another architecture lists the known ones.
ClassifierConfig read_classifier_config(const std::filesystem::path& folder);

}  // namespace cpx::formats
