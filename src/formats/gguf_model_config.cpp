// SPDX-License-Identifier: Apache-2.0
// Keys as llama.cpp writes and reads them; Mistral models are of its architecture "llama" too.
#include <cmath>
#include <cstring>

#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/formats/model_config.h"
#include "model_config_check.h"

namespace cpx::formats {

namespace {

constexpr ModelConfigKeys kGgufKeys = {
    .vocab_size = "llama.vocab_size",
    .hidden_size = "llama.embedding_length",
    .intermediate_size = "llama.feed_forward_length",
    .num_hidden_layers = "llama.block_count",
    .num_attention_heads = "llama.attention.head_count",
    .num_key_value_heads = "llama.attention.head_count_kv",
    .head_dim = "llama.attention.key_length",
    .max_position_embeddings = "llama.context_length",
    .rms_norm_eps = "llama.attention.layer_norm_rms_epsilon",
    .sliding_window = "llama.attention.sliding_window",
    .rope_theta = "llama.rope.freq_base",
    .rope_factor = "llama.rope.scaling.factor",
    .bos_token_id = "tokenizer.ggml.bos_token_id",
    .eos_token_id = "tokenizer.ggml.eos_token_id",
};

std::string place_of(const GgufFile& file) {
  return fmt::format("[model_config] {}", file.path().string());
}

[[noreturn]] void fail_missing(const GgufFile& file, std::string_view key) {
  throw_<DataError>("{}: '{}' is missing.", place_of(file), key);
}

int64_t require_int(const GgufFile& file, std::string_view key) {
  const auto value = file.find_int(std::string(key));
  if (!value) fail_missing(file, key);
  return *value;
}

// A size of every layer: one number, or one a layer (as models with unequal layers have it).
std::optional<int64_t> find_layer_size(const GgufFile& file, std::string_view key) {
  if (!file.is_array(std::string(key))) return file.find_int(std::string(key));
  const auto sizes = file.find_ints(std::string(key));
  for (const int64_t size : sizes) {
    if (size == sizes.front()) continue;
    throw_<DataError>("{}: '{}' holds {} and {}, expected one number for all layers.",
                      place_of(file), key, sizes.front(), size);
  }
  return sizes.empty() ? std::nullopt : std::optional(sizes.front());
}

int64_t require_layer_size(const GgufFile& file, std::string_view key) {
  const auto size = find_layer_size(file, key);
  if (!size) fail_missing(file, key);
  return *size;
}

double require_double(const GgufFile& file, std::string_view key) {
  const auto value = file.find_double(std::string(key));
  if (!value) fail_missing(file, key);
  return *value;
}

// An integer that must equal `expected` where it is there.
void check_equal(const GgufFile& file, const std::string& key, int64_t expected,
                 std::string_view source) {
  const auto value = file.find_int(key);
  if (value && *value != expected) {
    throw_<DataError>("{}: '{}' is {}, expected {} ({}).", place_of(file), key, *value, expected,
                      source);
  }
}

void check_architecture(const GgufFile& file) {
  const auto architecture = file.find_text("general.architecture");
  if (!architecture) fail_missing(file, "general.architecture");
  if (*architecture != "llama") {
    throw_<DataError>("{}: 'general.architecture' is {}, expected 'llama' (Llama and Mistral).",
                      place_of(file), quote(*architecture));
  }
  check_equal(file, "llama.expert_count", 0, "mixtures of experts are not computed");
}

// llama.cpp counts the tokens; files without a vocabulary carry the number alone.
int64_t read_vocab_size(const GgufFile& file) {
  if (const auto* tokens = file.find_texts("tokenizer.ggml.tokens")) {
    return static_cast<int64_t>(tokens->size());
  }
  return require_int(file, kGgufKeys.vocab_size);
}

int64_t read_head_dim(const GgufFile& file, const ModelConfig& config) {
  const int64_t head_dim =
      file.find_int(std::string(kGgufKeys.head_dim))
          .value_or(default_head_dim(config.hidden_size, config.num_attention_heads));
  check_equal(file, "llama.attention.value_length", head_dim, kGgufKeys.head_dim);
  if (head_dim > 0) check_equal(file, "llama.rope.dimension_count", head_dim, "the head size");
  return head_dim;
}

std::string type_text(const GgufTensor& tensor) {
  return tensor.unread_type.empty() ? std::string(storage_layout(tensor.type).name)
                                    : tensor.unread_type;
}

// What the frequencies are divided by, one a pair of a head's numbers.
std::vector<float> read_frequency_divisors(const GgufFile& file, int64_t head_dim) {
  const GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) return {};
  const bool is_float32 = tensor->unread_type.empty() && tensor->type == tensor::StorageType::kF32;
  if (!is_float32 || tensor->shape.size() != 1 || tensor->shape[0] != head_dim / 2) {
    throw_<DataError>("{}: 'rope_freqs.weight' is {} [{}], expected F32 [{}].", place_of(file),
                      type_text(*tensor), fmt::join(tensor->shape, ", "), head_dim / 2);
  }
  std::vector<float> divisors(static_cast<size_t>(head_dim / 2));
  std::memcpy(divisors.data(), tensor->bytes.data(), tensor->bytes.size());
  for (const float divisor : divisors) {
    if (!(divisor > 0.0f) || !std::isfinite(divisor)) {
      throw_<DataError>("{}: 'rope_freqs.weight' holds {}, expected numbers above 0.",
                        place_of(file), divisor);
    }
  }
  return divisors;
}

RopeConfig read_rope(const GgufFile& file, int64_t head_dim) {
  RopeConfig rope;
  rope.theta = file.find_double(std::string(kGgufKeys.rope_theta)).value_or(rope.theta);
  const std::string type = file.find_text("llama.rope.scaling.type").value_or("linear");
  if (type != "none" && type != "linear") {
    throw_<DataError>("{}: 'llama.rope.scaling.type' is {}, expected 'none' or 'linear'.",
                      place_of(file), quote(type));
  }
  auto factor = file.find_double(std::string(kGgufKeys.rope_factor));
  if (!factor) factor = file.find_double("llama.rope.scale_linear");  // the older key
  if (type == "linear" && factor.value_or(0.0) != 0.0 && *factor != 1.0) {
    rope.type = "linear";
    rope.factor = *factor;
  }
  rope.frequency_divisors = read_frequency_divisors(file, head_dim);
  return rope;
}

// Ids outside the vocabulary are left out; the tokenizer warns of them.
void read_token_ids(const GgufFile& file, ModelConfig& config) {
  const auto vocabulary = read_gguf_vocabulary(file);
  const auto is_outside = [&](int64_t id) { return id < 0 || id >= config.vocab_size; };
  const auto inside = [&](const std::optional<int64_t>& id) {
    return id && is_outside(*id) ? std::nullopt : id;
  };
  config.bos_token_id = inside(vocabulary.bos_id);
  config.eos_token_id = inside(vocabulary.eos_id);
  config.stop_token_ids = tokenizer::end_of_generation_ids(vocabulary);
  std::erase_if(config.stop_token_ids, is_outside);
}

}  // namespace

ModelConfig read_model_config(const GgufFile& file) {
  check_architecture(file);
  ModelConfig config;
  config.source = file.path().filename().string();
  config.architecture = "llama";
  config.vocab_size = read_vocab_size(file);
  config.hidden_size = require_int(file, kGgufKeys.hidden_size);
  config.intermediate_size = require_layer_size(file, kGgufKeys.intermediate_size);
  config.num_hidden_layers = require_int(file, kGgufKeys.num_hidden_layers);
  config.num_attention_heads = require_layer_size(file, kGgufKeys.num_attention_heads);
  config.num_key_value_heads =
      find_layer_size(file, kGgufKeys.num_key_value_heads).value_or(config.num_attention_heads);
  config.head_dim = read_head_dim(file, config);
  config.max_position_embeddings = require_int(file, kGgufKeys.max_position_embeddings);
  config.rms_norm_eps = require_double(file, kGgufKeys.rms_norm_eps);
  config.sliding_window = file.find_int(std::string(kGgufKeys.sliding_window)).value_or(0);
  config.attention_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config.mlp_bias = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  config.tie_word_embeddings = file.find_tensor("output.weight") == nullptr;
  read_token_ids(file, config);
  config.rope = read_rope(file, config.head_dim);
  check_model_config(place_of(file), config, kGgufKeys);
  return config;
}

}  // namespace cpx::formats
