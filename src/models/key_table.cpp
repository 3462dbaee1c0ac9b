// SPDX-License-Identifier: Apache-2.0
// GGUF names as llama.cpp defines them (gguf-py/gguf/constants.py, TENSOR_NAMES).
#include "key_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "cpx/core/error.h"

namespace cpx::models {

namespace {

// What a dimension of a weight is.
enum class Size { kVocabulary, kHidden, kIntermediate, kQueries, kKeys };

struct Row {
  std::string_view module;  // Hugging Face, behind "model.layers.N." where it is in a block
  std::string_view gguf;    // behind "blk.N." where it is in a block
  std::vector<Size> sizes;  // of its weight; a bias has the first
};

const std::vector<Row>& outer_rows() {
  static const std::vector<Row> rows = {
      {"model.embed_tokens", "token_embd", {Size::kVocabulary, Size::kHidden}},
      {"model.norm", "output_norm", {Size::kHidden}},
      {"lm_head", "output", {Size::kVocabulary, Size::kHidden}},
  };
  return rows;
}

const std::vector<Row>& block_rows() {
  static const std::vector<Row> rows = {
      {"input_layernorm", "attn_norm", {Size::kHidden}},
      {"self_attn.q_proj", "attn_q", {Size::kQueries, Size::kHidden}},
      {"self_attn.k_proj", "attn_k", {Size::kKeys, Size::kHidden}},
      {"self_attn.v_proj", "attn_v", {Size::kKeys, Size::kHidden}},
      {"self_attn.o_proj", "attn_output", {Size::kHidden, Size::kQueries}},
      {"post_attention_layernorm", "ffn_norm", {Size::kHidden}},
      {"mlp.gate_proj", "ffn_gate", {Size::kIntermediate, Size::kHidden}},
      {"mlp.up_proj", "ffn_up", {Size::kIntermediate, Size::kHidden}},
      {"mlp.down_proj", "ffn_down", {Size::kHidden, Size::kIntermediate}},
  };
  return rows;
}

// A key cut into its parts: "model.layers.3." "mlp.up_proj" ".weight".
struct Key {
  std::string_view block;  // "3", or empty
  std::string_view module;
  std::string_view ending;  // "weight" or "bias"
};

Key parse_key(std::string_view key) {
  constexpr std::string_view kLayers = "model.layers.";
  Key result;
  const size_t last_dot = key.rfind('.');
  result.ending = key.substr(last_dot + 1);
  result.module = key.substr(0, last_dot);
  if (result.module.starts_with(kLayers)) {
    result.module.remove_prefix(kLayers.size());
    const size_t dot = result.module.find('.');
    result.block = result.module.substr(0, dot);
    result.module.remove_prefix(dot + 1);
  }
  return result;
}

const Row& row_of(const Key& key) {
  const auto& rows = key.block.empty() ? outer_rows() : block_rows();
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const Row& row) { return row.module == key.module; });
  CPX_CHECK(found != rows.end(), "[key_table] no weight of a Llama: got '{}.{}'.", key.module,
            key.ending);
  return *found;
}

std::string size_text(Size size, const formats::ModelConfig& config) {
  const auto heads = [&](std::string_view name, int64_t count) {
    return fmt::format("{} {} * head_dim {}", name, count, config.head_dim);
  };
  switch (size) {
    case Size::kVocabulary:
      return fmt::format("vocab_size {}", config.vocab_size);
    case Size::kHidden:
      return fmt::format("hidden_size {}", config.hidden_size);
    case Size::kIntermediate:
      return fmt::format("intermediate_size {}", config.intermediate_size);
    case Size::kQueries:
      return heads("num_attention_heads", config.num_attention_heads);
    case Size::kKeys:
      return heads("num_key_value_heads", config.num_key_value_heads);
  }
  return {};
}

}  // namespace

std::string gguf_name(std::string_view key) {
  const Key parts = parse_key(key);
  const std::string_view name = row_of(parts).gguf;
  if (parts.block.empty()) return fmt::format("{}.{}", name, parts.ending);
  return fmt::format("blk.{}.{}.{}", parts.block, name, parts.ending);
}

int64_t num_permuted_heads(std::string_view key, const formats::ModelConfig& config) {
  const std::string_view module = parse_key(key).module;
  if (module == "self_attn.q_proj") return config.num_attention_heads;
  if (module == "self_attn.k_proj") return config.num_key_value_heads;
  return 0;
}

std::vector<std::string> dimension_sources(std::string_view key,
                                           const formats::ModelConfig& config) {
  const Key parts = parse_key(key);
  std::vector<std::string> sources;
  for (const Size size : row_of(parts).sizes) sources.push_back(size_text(size, config));
  if (parts.ending == "bias") sources.resize(1);
  return sources;
}

}  // namespace cpx::models
