// SPDX-License-Identifier: Apache-2.0
// From the spellings of tokens back to text: what tokenizer.json calls a decoder.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cpx/core/json.h"
#include "pre_tokenizer.h"

namespace cpx::tokenizer {

/// What stands for a blank in pieces, U+2581.
inline constexpr const char* kSpaceMark = "\xE2\x96\x81";

/// One step back to text: spellings to spellings, joined without a separator at the end.
using Detokenizer = std::function<std::vector<std::string>(std::vector<std::string>)>;

/// Characters of the byte alphabet to bytes; ill-formed UTF-8 becomes U+FFFD.
Detokenizer byte_level_detokenizer();

/// What the Llama family has: U+2581 to spaces, tokens <0x00> to <0xFF> to bytes and,
/// with `strips_space`, without the first space.
Detokenizer llama_detokenizer(bool strips_space);

/// Tokens behind `prefix` go on without a space; with `cleans_up` also English punctuation.
Detokenizer word_piece_detokenizer(std::string prefix, bool cleans_up);

/// U+2581, or another `replacement`, to spaces; with `drops_first` without those of the first
/// token.
Detokenizer metaspace_detokenizer(std::string replacement, bool drops_first);

/// Reads a `decoder` of tokenizer.json: Sequence, ByteLevel, Metaspace, Replace, ByteFallback,
/// Fuse, Strip or WordPiece; throws DataError that names any other type.
Detokenizer parse_detokenizer(const JsonValue& node);

/// The text of `spellings`; without a detokenizer they are joined by spaces, as the peer does.
std::string detokenize(const Detokenizer& detokenizer, std::vector<std::string> spellings);

}  // namespace cpx::tokenizer
