// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/text.h"

#include <fmt/format.h>

#include "cpx/core/utf8.h"

namespace cpx {

namespace {

constexpr char32_t kReplacementCharacter = 0xFFFD;

// Characters that end a line, or turn or hide what stands beside them.
bool is_unprintable(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) {
  std::string shown;
  size_t position = 0;
  while (position < text.size()) {
    const Utf8Char character = decode_utf8(text, position);
    if (position + character.length > max_bytes) return shown + "...";
    const std::string_view bytes = text.substr(position, character.length);
    const bool is_invalid = character.code_point == kReplacementCharacter && character.length == 1;
    if (is_invalid || is_unprintable(character.code_point)) {
      for (const char byte : bytes) {
        shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      }
    } else {
      shown += bytes;
    }
    position += character.length;
  }
  return shown;
}

std::string quote(std::string_view text) { return fmt::format("'{}'", printable(text)); }

std::string counted(int64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string counted(int64_t number, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", number, number == 1 ? one : several);
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == text.npos; }

}  // namespace cpx
