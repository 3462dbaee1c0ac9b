// SPDX-License-Identifier: Apache-2.0
// The weights of LLaMA and Mistral by their Hugging Face keys: their names in a GGUF, and the
// config entries that their shapes follow from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpx/formats/model_config.h"

namespace cpx::models {

/// The GGUF's name of a weight of the model: "model.layers.3.mlp.up_proj.weight" is
/// "blk.3.ffn_up.weight".
std::string gguf_name(std::string_view key);

/// Number of heads whose rows llama.cpp's converter permuted in the weight `key`; 0: none.
int64_t num_permuted_heads(std::string_view key, const formats::ModelConfig& config);

/// The config entries that each dimension of the weight `key` follows from, with their values, for
/// messages: "intermediate_size 48" or "num_key_value_heads 2 * head_dim 8".
std::vector<std::string> dimension_sources(std::string_view key,
                                           const formats::ModelConfig& config);

}  // namespace cpx::models
