// SPDX-License-Identifier: Apache-2.0
// How the byte-level vocabularies of GGUF files cut a text into words: `tokenizer.ggml.pre`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pre_tokenizer.h"

namespace cpx::tokenizer {

/// What a value of `tokenizer.ggml.pre` stands for.
struct GgufPreType {
  PreTokenizer pre_tokenizer;
  /// A word that is a token as a whole is that token.
  bool ignores_merges = false;
  /// BOS comes first where the file does not say.
  bool adds_bos = false;
};

/// The pre-type of that name; nothing where cpx does not know it.
std::optional<GgufPreType> find_gguf_pre_type(std::string_view name);

/// All names, for messages: "default, gpt-2, ...".
std::string known_gguf_pre_types();

}  // namespace cpx::tokenizer
