// SPDX-License-Identifier: Apache-2.0
// Tokens of a GGUF that llama.cpp knows by their spelling.
#pragma once

#include <string_view>

namespace cpx::tokenizer {

/// True for a spelling that makes a token a control token, whatever type the file gives it: the
/// ends of texts, turns and messages, and the marks of code completion at which llama.cpp stops.
bool is_end_spelling(std::string_view spelling);

}  // namespace cpx::tokenizer
