// SPDX-License-Identifier: Apache-2.0
// The config of a RoBERTa classifier as one plain struct.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cpx/core/label_kind.h"

namespace cpx::formats {

/// A RobertaForSequenceClassification.
struct RobertaConfig {
  int64_t vocab_size = 50265;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  int64_t pad_token_id = 1;
  double layer_norm_eps = 1e-12;
  std::vector<std::string> labels = {"LABEL_0", "LABEL_1"};
  LabelKind label_kind = LabelKind::kOneOf;
  /// Maximum length of a text with its special tokens: the number of positions, or
  /// `model_max_length` of tokenizer_config.json if that is smaller.
  int64_t max_tokens = 0;
};

/// From `folder`/config.json and tokenizer_config.json. Throws DataError with the file, the key,
/// its value and the supported values, and for another architecture.
RobertaConfig read_roberta_config(const std::filesystem::path& folder);

}  // namespace cpx::formats
