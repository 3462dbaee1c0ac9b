// SPDX-License-Identifier: Apache-2.0
// Where a model begins to write, and the tokens that end it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpx/formats/model_config.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// What transformers' generate() stops at, and in a chat the ends of answers.
std::vector<int64_t> stop_token_ids(const formats::ModelConfig& model,
                                    const tokenizer::Tokenizer& tokenizer, bool is_chat);

/// The ids of a prompt that the model is to continue: an EOS that the tokenizer would append is
/// left out. `adds_special` is false for a chat, whose template writes its special tokens itself.
std::vector<int64_t> open_ids(const tokenizer::Tokenizer& tokenizer, const std::string& text,
                              bool adds_special);

}  // namespace cpx::recipes
