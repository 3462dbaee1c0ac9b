// SPDX-License-Identifier: Apache-2.0
// What a model's config says, from a Hugging Face config.json (keys of transformers 4 and 5) or
// from the metadata of a GGUF, in one plain struct.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/formats/gguf.h"

namespace cpx::formats {

/// Rotary positions: `rope_theta` with `rope_scaling`, or `rope_parameters`.
struct RopeConfig {
  double theta = 10000.0;
  std::string type = "default";  // default | linear | llama3
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position = 8192;
  /// `rope_freqs.weight` of a GGUF: divisors of the frequencies, or empty.
  std::vector<float> frequency_divisors;
};

/// A decoder-only model of the Llama or Mistral kind.
struct ModelConfig {
  /// Where it comes from, for messages: "config.json" or the GGUF's name.
  std::string source;
  std::string architecture;  // "llama" or "mistral"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  int64_t sliding_window = 0;  // 0: none
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  RopeConfig rope;
  std::string stored_dtype;  // `dtype` or `torch_dtype`; empty where absent
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> eos_token_id;  // the first where the file lists several
  /// What ends a generated text: `eos_token_id` of generation_config.json, one or several, else
  /// that of config.json, as in transformers' generate().
  std::vector<int64_t> stop_token_ids;
};

/// From `folder`/config.json (generation_config.json fills in BOS and EOS). Throws DataError that
/// names the file, the key, its value and what is supported.
ModelConfig read_model_config(const std::filesystem::path& folder);

/// From a GGUF's `general.architecture` and its keys.
ModelConfig read_model_config(const GgufFile& file);

}  // namespace cpx::formats
