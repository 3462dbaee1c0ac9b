// SPDX-License-Identifier: Apache-2.0
// Shows a token sequence as the model gets it.
#pragma once

#include <span>
#include <string>

#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// Pieces, ids and loss mask (1: the token is predicted) in aligned columns, wrapped to `width`
/// characters; each line is indented by two spaces.
std::string token_table(const tokenizer::Tokenizer& tokenizer,
                        std::span<const tokenizer::TokenId> ids, size_t width = 100);

}  // namespace cpx::recipes
