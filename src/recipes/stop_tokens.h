// SPDX-License-Identifier: Apache-2.0
// The tokens that end what a model writes.
#pragma once

#include <cstdint>
#include <vector>

#include "cpx/formats/model_config.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// What transformers' generate() stops at, and in a chat the ends of answers.
std::vector<int64_t> stop_token_ids(const formats::ModelConfig& model,
                                    const tokenizer::Tokenizer& tokenizer, bool is_chat);

}  // namespace cpx::recipes
