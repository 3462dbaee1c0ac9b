// SPDX-License-Identifier: Apache-2.0
// Describes both ends of the texts that a model sees, for logs: a missing or an extra BOS changes
// every figure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// "texts begin with '<s>' (1) and end with '</s>' (2)": the special tokens at the ends of `ids`,
/// the ids of a sample text; `noun` is "texts" or "prompts".
std::string describe_ends(const Tokenizer& tokenizer, std::span<const TokenId> ids,
                          std::string_view noun = "texts");

}  // namespace cpx::tokenizer
