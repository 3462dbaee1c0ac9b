// SPDX-License-Identifier: Apache-2.0
// What any model config must satisfy, whatever it was read from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cpx/formats/model_config.h"

namespace cpx::formats {

/// Largest vocabulary or dimension: far above any model; products of two and a few bytes stay below
/// 2^63.
inline constexpr int64_t kMaxSize = int64_t{1} << 24;

/// What a file calls the values of ModelConfig, for messages.
struct ModelConfigKeys {
  std::string_view vocab_size;
  std::string_view hidden_size;
  std::string_view intermediate_size;
  std::string_view num_hidden_layers;
  std::string_view num_attention_heads;
  std::string_view num_key_value_heads;
  std::string_view head_dim;
  std::string_view max_position_embeddings;
  std::string_view rms_norm_eps;
  std::string_view sliding_window;
  std::string_view rope_theta;
  std::string_view rope_factor;
  std::string_view bos_token_id;
  std::string_view eos_token_id;
};

/// Throws DataError, opened by `place` ("[where] file"), when a value is out of range or two do not
/// fit each other.
void check_model_config(const std::string& place, const ModelConfig& config,
                        const ModelConfigKeys& keys);

/// hidden_size / heads, where a file has no head size of its own; 0 when it is none.
int64_t default_head_dim(int64_t hidden_size, int64_t num_heads);

}  // namespace cpx::formats
