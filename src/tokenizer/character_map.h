// SPDX-License-Identifier: Apache-2.0
// The table of replacements that a sentencepiece model carries: `precompiled_charsmap`, also in
// tokenizer.json as the normalizer of type Precompiled.
// Format: sentencepiece 0.2.1, normalizer.cc (EncodePrecompiledCharsMap): the size of a double
// array (darts-clone), the array, then texts that end in a zero byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "normalizer.h"

namespace cpx::tokenizer {

/// Replacements of short texts. Immutable after construction.
class CharacterMap {
 public:
  /// Reads the bytes of a table; throws DataError, opened by `place`, where they are damaged.
  CharacterMap(std::string_view bytes, std::string_view place);

  /// The replacement of the shortest text that `part` begins with, or nullopt.
  std::optional<std::string_view> find(std::string_view part) const;

 private:
  std::vector<uint32_t> units_;
  std::string texts_;
};

/// Replaces characters (grapheme clusters of up to 5 bytes as a whole) as the normalizer
/// Precompiled of tokenizers 0.23.3 does.
Normalizer character_map_normalizer(std::shared_ptr<const CharacterMap> map);

/// The bytes that `text` encodes in base64, or nullopt.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace cpx::tokenizer
