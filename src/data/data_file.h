// SPDX-License-Identifier: Apache-2.0
// What all readers of data files share: lines, texts, and what is missing from an object.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/core/json.h"

namespace cpx::data {

/// What is asked of texts in messages.
inline constexpr std::string_view kSomeText = "a text that is not blank";

/// A line of a text file.
struct TextLine {
  std::string text;
  int64_t number = 0;  // counted from 1, blank lines too
};

/// The lines of `file` that are not blank. A file that cannot be read, is not UTF-8 or has no such
/// line gives a fault.
std::vector<TextLine> read_text_lines(const std::filesystem::path& file, Faults& faults);

/// The place of `value` without its brackets: "a.json: record 3".
std::string place_of(const JsonValue& value);

/// The text of `value` with its escapes (see unescape()) undone; DataError where it is blank.
std::string unescaped_text(const JsonValue& value);

/// A text under an optional key: nothing where it is absent or null, a number as it is written.
std::string optional_text(const JsonValue& object, std::string_view key);

/// "[place] 'key' is missing (keys: a, b), expected EXPECTED. HINT"
std::string missing(const JsonValue& object, std::string_view key, std::string_view expected,
                    std::string_view hint = "");

/// " Is 'paraphrase' meant?" for a key of `object` that is spelled nearly as `key`, else nothing.
/// Neither `known` nor a key that says something of the texts under another (KEY_rouge) is meant.
std::string nearest_key_hint(const JsonValue& object, std::string_view key,
                             std::string_view known = "");

}  // namespace cpx::data
