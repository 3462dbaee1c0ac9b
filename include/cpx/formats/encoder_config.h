// SPDX-License-Identifier: Apache-2.0
// The config of an encoder (BERT, DistilBERT, RoBERTa, XLM-RoBERTa) as one plain struct.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace cpx::formats {

/// The kinds of encoder, by `model_type`.
enum class EncoderFamily { kBert, kDistilBert, kRoberta, kXlmRoberta };

/// What a family is called, and what its config.json calls the sizes that families name
/// differently.
struct EncoderConfigKeys {
  EncoderFamily family;
  std::string_view name;  // "DistilBERT"
  std::string_view model_type;
  const char* hidden_size = "hidden_size";
  const char* intermediate_size = "intermediate_size";
  const char* num_hidden_layers = "num_hidden_layers";
  const char* num_attention_heads = "num_attention_heads";
  const char* activation = "hidden_act";
};

/// The keys of a family.
const EncoderConfigKeys& encoder_config_keys(EncoderFamily family);

/// The sizes of an encoder.
struct EncoderConfig {
  EncoderFamily family = EncoderFamily::kRoberta;
  int64_t vocab_size = 0;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;  // 0: the family has no token types
  int64_t pad_token_id = 0;
  /// The position of a text's first token: 0, or the one after the padding token's id. In the
  /// second case a padding token within a text has its id as its position and is not counted.
  int64_t first_position = 0;
  double layer_norm_eps = 1e-12;
  /// Maximum length of a text with its special tokens: the number of positions, or
  /// `model_max_length` of tokenizer_config.json if that is smaller.
  int64_t max_tokens = 0;
};

/// From `folder`/config.json and tokenizer_config.json. Throws DataError with the file, the key,
/// its value and the supported values, and for another `model_type`.
EncoderConfig read_encoder_config(const std::filesystem::path& folder);

}  // namespace cpx::formats
