// SPDX-License-Identifier: Apache-2.0
// A model's config as a text that can be compared.
#pragma once

#include <string>

#include <fmt/format.h>

#include "cpx/formats/model_config.h"

namespace cpx::formats {

/// Returns everything that decides about the computation.
inline std::string text_of(const ModelConfig& config) {
  const auto& rope = config.rope;
  return fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} | {} {} {} {} {} {} | {} {} {}",
      config.architecture, config.vocab_size, config.hidden_size, config.intermediate_size,
      config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads,
      config.head_dim, config.max_position_embeddings, config.rms_norm_eps, config.sliding_window,
      config.attention_bias, config.mlp_bias, config.tie_word_embeddings, rope.theta, rope.type,
      rope.factor, rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position,
      config.stored_dtype, config.bos_token_id.value_or(-1), config.eos_token_id.value_or(-1));
}

}  // namespace cpx::formats
