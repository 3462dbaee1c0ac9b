// SPDX-License-Identifier: Apache-2.0
// The config of a model as one plain struct, from a Hugging Face config.json (keys of transformers
// 4 and 5) or from the metadata of a GGUF.
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
  /// Divisors of the frequencies, from `rope_freqs.weight` of a GGUF; may be empty.
  std::vector<float> frequency_divisors;
};

/// How the linear layers of a quantised folder are stored: `quantization_config` of config.json, or
/// quantize_config.json or quant_config.json beside it. The tensors decide which layers are
/// quantised.
struct QuantizationConfig {
  std::string method;              // "gptq" or "awq"
  int64_t bits = 4;                // 4, with gptq also 8
  int64_t group_size = 128;        // inputs that share scale and zero; -1: all inputs of a layer
  bool has_zeros_less_one = true;  // gptq: `checkpoint_format` is gptq, not gptq_v2
  bool desc_act = false;           // gptq: groups are not contiguous; each layer lists them
};

/// A decoder-only model of the Llama or Mistral kind.
struct ModelConfig {
  /// Its origin for messages: "config.json" or the name of the GGUF.
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
  std::string stored_dtype;  // `dtype` or `torch_dtype`; empty if absent
  std::optional<QuantizationConfig> quantization;
  std::optional<int64_t> pad_token_id;  // of a classifier; others are not asked
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> eos_token_id;  // the first if the file lists several
  /// The ids that end a generated text: `eos_token_id` of generation_config.json (one or several),
  /// otherwise that of config.json, as in transformers' generate().
  std::vector<int64_t> stop_token_ids;
};

/// What a model of a folder has on top of its decoder.
enum class ModelHead { kLanguageModel, kClassifier };

/// From `folder`/config.json (generation_config.json supplies missing BOS and EOS). Throws
/// DataError with the file, the key, its value and the supported values. A classifier is an error
/// unless `head` asks for one; its labels are not read.
ModelConfig read_model_config(const std::filesystem::path& folder,
                              ModelHead head = ModelHead::kLanguageModel);

/// From `general.architecture` of a GGUF and the keys of that architecture.
ModelConfig read_model_config(const GgufFile& file);

}  // namespace cpx::formats
