// SPDX-License-Identifier: Apache-2.0
// UTF-8 reading, writing and validation (Unicode 15, section 3.9: no surrogates, shortest forms).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cpx {

struct Utf8Char {
  char32_t code_point;
  size_t length;  // bytes, 1 to 4
};

/// Byte offset of the first byte that is not valid UTF-8, or nullopt.
std::optional<size_t> first_invalid_utf8(std::string_view text);

/// The character at byte `position` (< text.size()); an invalid byte reads as U+FFFD of length 1.
Utf8Char decode_utf8(std::string_view text, size_t position);

/// Appends `code_point` as UTF-8.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace cpx
