// SPDX-License-Identifier: Apache-2.0
// Pre-tokenizers: what cuts a text into words before byte pair encoding.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "aligned_text.h"
#include "cpx/core/json.h"

namespace cpx::tokenizer {

/// Cuts (and rewrites) the open pieces; an empty function leaves them alone.
using PreTokenizer = std::function<void(PieceList&)>;

/// GPT-2's pattern, from its released encoder.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct ByteLevelOptions {
  /// A space before a piece that does not start with one.
  bool adds_prefix_space = false;
  /// Splits with GPT-2's pattern first.
  bool uses_regex = true;
};

enum class PrependScheme { kNever, kFirst, kAlways };

struct MetaspaceOptions {
  std::string replacement = "\xE2\x96\x81";  // U+2581
  PrependScheme prepend_scheme = PrependScheme::kAlways;
  /// Cuts before every replacement character.
  bool splits = true;
};

/// Spells every piece in the byte alphabet.
PreTokenizer byte_level(ByteLevelOptions options);

/// Cuts numbers (Unicode N) off, digit by digit or as runs.
PreTokenizer digits(bool individual);

PreTokenizer split_at(Regex regex, SplitBehavior behavior, bool is_inverted);

/// Spells spaces as the replacement character.
PreTokenizer metaspace(MetaspaceOptions options);

/// One after the other.
PreTokenizer sequence(std::vector<PreTokenizer> steps);

/// Cuts at white space (Unicode White_Space), which is dropped.
PreTokenizer white_space_split();

/// Reads a `pre_tokenizer` of tokenizer.json: Sequence, ByteLevel, Digits, Split, Metaspace,
/// Punctuation, BertPreTokenizer or WhitespaceSplit; throws DataError that names any other type.
PreTokenizer parse_pre_tokenizer(const JsonValue& node);

/// The `prepend_scheme` of a Metaspace (also of the older form with `add_prefix_space`).
PrependScheme parse_prepend_scheme(const JsonValue& node);

}  // namespace cpx::tokenizer
