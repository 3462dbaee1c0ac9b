// SPDX-License-Identifier: Apache-2.0
// Normalizers of tokenizer.json: text to text, byte by byte aligned with the original.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "aligned_text.h"
#include "cpx/core/json.h"

namespace cpx::tokenizer {

/// Appends the normalised form of `text`'s `range` to the output; an empty function does nothing
/// to the text.
using Normalizer = std::function<void(const AlignedText& text, ByteRange range, AlignedText&)>;

/// Reads a `normalizer` of tokenizer.json: Sequence, Prepend, Replace, Strip, BertNormalizer or
/// Precompiled; throws DataError that names any other type.
Normalizer parse_normalizer(const JsonValue& node);

/// The pattern of a Replace or Split: {"String": text} or {"Regex": pattern}.
Regex parse_pattern(const JsonValue& node);

/// `content` after `normalizer`.
std::string normalize(const Normalizer& normalizer, const std::string& content);

}  // namespace cpx::tokenizer
