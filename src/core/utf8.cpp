// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/utf8.h"

#include <cstdint>

namespace cpx {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Lead {
  size_t length;
  char32_t bits;
  char32_t smallest;
};

std::optional<Lead> read_lead(unsigned char byte) {
  if (byte < 0x80) return Lead{1, byte, 0};
  if ((byte & 0xE0) == 0xC0) return Lead{2, static_cast<char32_t>(byte & 0x1F), 0x80};
  if ((byte & 0xF0) == 0xE0) return Lead{3, static_cast<char32_t>(byte & 0x0F), 0x800};
  if ((byte & 0xF8) == 0xF0) return Lead{4, static_cast<char32_t>(byte & 0x07), 0x10000};
  return std::nullopt;
}

std::optional<Utf8Char> decode_valid(std::string_view text, size_t position) {
  const auto lead = read_lead(static_cast<unsigned char>(text[position]));
  if (!lead || text.size() - position < lead->length) return std::nullopt;
  char32_t value = lead->bits;
  for (size_t i = 1; i < lead->length; ++i) {
    const auto byte = static_cast<unsigned char>(text[position + i]);
    if ((byte & 0xC0) != 0x80) return std::nullopt;
    value = (value << 6) | (byte & 0x3F);
  }
  const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < lead->smallest || value > 0x10FFFF || is_surrogate) return std::nullopt;
  return Utf8Char{value, lead->length};
}

}  // namespace

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_valid(text, position);
    if (!character) return position;
    position += character->length;
  }
  return std::nullopt;
}

Utf8Char decode_utf8(std::string_view text, size_t position) {
  return decode_valid(text, position).value_or(Utf8Char{kReplacement, 1});
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto byte = [&text](char32_t value) { text.push_back(static_cast<char>(value)); };
  if (code_point < 0x80) {
    byte(code_point);
  } else if (code_point < 0x800) {
    byte(0xC0 | (code_point >> 6));
    byte(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    byte(0xE0 | (code_point >> 12));
    byte(0x80 | ((code_point >> 6) & 0x3F));
    byte(0x80 | (code_point & 0x3F));
  } else {
    byte(0xF0 | (code_point >> 18));
    byte(0x80 | ((code_point >> 12) & 0x3F));
    byte(0x80 | ((code_point >> 6) & 0x3F));
    byte(0x80 | (code_point & 0x3F));
  }
}

}  // namespace cpx
