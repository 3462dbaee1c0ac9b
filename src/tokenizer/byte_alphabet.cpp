// SPDX-License-Identifier: Apache-2.0
#include "byte_alphabet.h"

#include <algorithm>
#include <array>

#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

namespace {

constexpr size_t kNumBytes = 256;
// Bytes without a printable character of their own get the characters from here on.
constexpr char32_t kFirstSubstitute = 256;
constexpr size_t kNumSymbols = 512;

bool is_printable_latin1(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, kNumBytes> symbols;
  std::array<int16_t, kNumSymbols> bytes;  // -1: stands for no byte

  Alphabet() {
    bytes.fill(-1);
    char32_t substitute = kFirstSubstitute;
    for (unsigned byte = 0; byte < kNumBytes; ++byte) {
      const char32_t symbol = is_printable_latin1(byte) ? byte : substitute++;
      append_utf8(symbols[byte], symbol);
      bytes[symbol] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

// Bytes that may follow the lead byte `first` as the second byte of a character.
std::pair<uint8_t, uint8_t> second_byte_range(uint8_t first) {
  if (first == 0xE0) return {0xA0, 0xBF};
  if (first == 0xED) return {0x80, 0x9F};
  if (first == 0xF0) return {0x90, 0xBF};
  if (first == 0xF4) return {0x80, 0x8F};
  return {0x80, 0xBF};
}

size_t expected_length(uint8_t first) {
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 1;
}

// Length of the ill-formed part that starts at `position`: the longest start of a character.
size_t ill_formed_length(std::string_view bytes, size_t position) {
  const auto first = static_cast<uint8_t>(bytes[position]);
  const size_t most = std::min(expected_length(first), bytes.size() - position);
  auto [low, high] = second_byte_range(first);
  size_t length = 1;
  while (length < most) {
    const auto byte = static_cast<uint8_t>(bytes[position + length]);
    if (byte < low || byte > high) break;
    low = 0x80;
    high = 0xBF;
    ++length;
  }
  return length;
}

}  // namespace

const std::string& byte_symbol(uint8_t byte) { return alphabet().symbols[byte]; }

std::optional<uint8_t> symbol_byte(char32_t code_point) {
  if (code_point >= kNumSymbols || alphabet().bytes[code_point] < 0) return std::nullopt;
  return static_cast<uint8_t>(alphabet().bytes[code_point]);
}

std::string from_byte_alphabet(std::string_view spelling) {
  std::string result;
  for (size_t position = 0; position < spelling.size();) {
    const auto character = decode_utf8(spelling, position);
    const auto byte = symbol_byte(character.code_point);
    if (!byte) return std::string(spelling);
    result.push_back(static_cast<char>(*byte));
    position += character.length;
  }
  return result;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string result;
  while (!bytes.empty()) {
    const auto invalid = first_invalid_utf8(bytes);
    result += bytes.substr(0, invalid.value_or(bytes.size()));
    if (!invalid) break;
    result += "\xEF\xBF\xBD";
    bytes.remove_prefix(*invalid + ill_formed_length(bytes, *invalid));
  }
  return result;
}

}  // namespace cpx::tokenizer
