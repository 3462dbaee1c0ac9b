// SPDX-License-Identifier: Apache-2.0
#include "python_text.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>

#include <fmt/format.h>

#include "cpx/core/utf8.h"
#include "python_unicode.h"
#include "regex.h"

namespace cpx::tokenizer {

namespace {

using python_unicode::CaseRange;
using python_unicode::SpecialCase;

// A case: what maps to one character, and what maps to several.
struct CaseTable {
  std::span<const CaseRange> ranges;
  std::span<const SpecialCase> special;
};
constexpr CaseTable kUpperCase{python_unicode::kUpper, python_unicode::kUpperSpecial};
constexpr CaseTable kLowerCase{python_unicode::kLower, python_unicode::kLowerSpecial};
constexpr CaseTable kTitleCase{python_unicode::kTitle, python_unicode::kTitleSpecial};

const char* find_special(const CaseTable& table, char32_t code_point) {
  const auto found = std::ranges::find(table.special, code_point, &SpecialCase::code_point);
  return found == table.special.end() ? nullptr : found->changed;
}

char32_t change_one(const CaseTable& table, char32_t code_point) {
  for (const auto& range : table.ranges) {
    const bool is_inside = code_point >= range.first && code_point <= range.last &&
                           (code_point - range.first) % range.stride == 0;
    if (is_inside) return static_cast<char32_t>(static_cast<int64_t>(code_point) + range.delta);
  }
  return code_point;
}

void append_changed(std::string& text, const CaseTable& table, char32_t code_point) {
  if (code_point < 0x80) {
    text += static_cast<char>(change_one(table, code_point));
  } else if (const char* special = find_special(table, code_point)) {
    text += special;
  } else {
    append_utf8(text, change_one(table, code_point));
  }
}

bool changes(const CaseTable& table, char32_t code_point) {
  return change_one(table, code_point) != code_point || find_special(table, code_point) != nullptr;
}

bool is_cased(char32_t code_point) {
  return changes(kUpperCase, code_point) || changes(kLowerCase, code_point);
}

constexpr char32_t kSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

// True where the characters of `text` in front of (or behind) a sigma make it stand in a word.
// Python skips what has no case but may stand within a word, as an apostrophe.
bool has_cased_before(std::string_view text, size_t position) {
  while (position > 0) {
    do --position;
    while (position > 0 && (text[position] & 0xC0) == 0x80);
    const char32_t code_point = decode_utf8(text, position).code_point;
    if (is_cased(code_point)) return true;
    if (code_point != '\'' && code_point != '.' && code_point != ':') return false;
  }
  return false;
}

bool has_cased_after(std::string_view text, size_t position) {
  while (position < text.size()) {
    const auto character = decode_utf8(text, position);
    if (is_cased(character.code_point)) return true;
    if (character.code_point != '\'' && character.code_point != '.' &&
        character.code_point != ':') {
      return false;
    }
    position += character.length;
  }
  return false;
}

// A capital sigma at the end of a word has a small letter of its own.
void append_lower(std::string& result, std::string_view text, size_t position) {
  const auto character = decode_utf8(text, position);
  const bool is_final = character.code_point == kSigma && has_cased_before(text, position) &&
                        !has_cased_after(text, position + character.length);
  if (is_final) {
    append_utf8(result, kFinalSigma);
  } else {
    append_changed(result, kLowerCase, character.code_point);
  }
}

template <class Append>
std::string for_each_character(std::string_view text, Append&& append) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    append(result, character.code_point, position);
    position += character.length;
  }
  return result;
}

bool is_printable(char32_t code_point) {
  const auto* range = std::ranges::upper_bound(python_unicode::kUnprintable, code_point, {},
                                               &python_unicode::Range::first);
  return range == std::begin(python_unicode::kUnprintable) || code_point > std::prev(range)->last;
}

void append_escaped(std::string& result, char32_t code_point, char quote) {
  constexpr std::string_view kEscaped = "\n\t\r\\";
  constexpr std::string_view kLetters = "ntr\\";
  const size_t escape =
      code_point < 0x80 ? kEscaped.find(static_cast<char>(code_point)) : std::string_view::npos;
  if (escape != std::string_view::npos) {
    result += {'\\', kLetters[escape]};
  } else if (code_point == static_cast<char32_t>(quote)) {
    result += {'\\', quote};
  } else if (is_printable(code_point)) {
    append_utf8(result, code_point);
  } else if (code_point < 0x100) {
    result += fmt::format("\\x{:02x}", static_cast<uint32_t>(code_point));
  } else if (code_point < 0x10000) {
    result += fmt::format("\\u{:04x}", static_cast<uint32_t>(code_point));
  } else {
    result += fmt::format("\\U{:08x}", static_cast<uint32_t>(code_point));
  }
}

bool is_line_end(char32_t code_point) {
  return (code_point >= 0x0A && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x1E) ||
         code_point == 0x85 || code_point == 0x2028 || code_point == 0x2029;
}

// Where the character in front of byte `position` begins.
size_t last_character(std::string_view text, size_t position) {
  do --position;
  while (position > 0 && (text[position] & 0xC0) == 0x80);
  return position;
}

bool is_in(char32_t code_point, std::optional<std::string_view> characters) {
  if (!characters) return is_python_space(code_point);
  for (size_t position = 0; position < characters->size();) {
    const auto character = decode_utf8(*characters, position);
    if (character.code_point == code_point) return true;
    position += character.length;
  }
  return false;
}

// The words of `text` as ranges of bytes.
std::vector<ByteRange> words_of(std::string_view text) {
  std::vector<ByteRange> words;
  bool is_inside = false;
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    const bool is_space = is_python_space(character.code_point);
    if (!is_space && !is_inside) words.push_back({position, text.size()});
    if (is_space && is_inside) words.back().end = position;
    is_inside = !is_space;
    position += character.length;
  }
  return words;
}

}  // namespace

int64_t python_length(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string_view python_substring(std::string_view text, int64_t begin, int64_t end) {
  size_t first = text.size();
  int64_t count = 0;
  for (size_t position = 0; position < text.size(); ++position) {
    if ((text[position] & 0xC0) == 0x80) continue;
    if (count == begin) first = position;
    if (count == end) return first < position ? text.substr(first, position - first) : "";
    ++count;
  }
  return begin < end ? text.substr(first) : std::string_view();
}

bool is_python_space(char32_t code_point) {
  return is_white_space(code_point) || (code_point >= 0x1C && code_point <= 0x1F);
}

std::string_view python_strip(std::string_view text, Side side,
                              std::optional<std::string_view> characters) {
  while (side != Side::kRight && !text.empty()) {
    const auto character = decode_utf8(text, 0);
    if (!is_in(character.code_point, characters)) break;
    text.remove_prefix(character.length);
  }
  while (side != Side::kLeft && !text.empty()) {
    const size_t last = last_character(text, text.size());
    if (!is_in(decode_utf8(text, last).code_point, characters)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::string_view python_strip(std::string_view text) { return python_strip(text, Side::kBoth); }

std::string_view python_rstrip(std::string_view text) { return python_strip(text, Side::kRight); }

std::string python_upper(std::string_view text) {
  return for_each_character(text, [](std::string& result, char32_t code_point, size_t) {
    append_changed(result, kUpperCase, code_point);
  });
}

std::string python_lower(std::string_view text) {
  return for_each_character(
      text, [&](std::string& result, char32_t, size_t at) { append_lower(result, text, at); });
}

std::string python_capitalize(std::string_view text) {
  return for_each_character(text, [&](std::string& result, char32_t code_point, size_t at) {
    if (at == 0) {
      append_changed(result, kTitleCase, code_point);
    } else {
      append_lower(result, text, at);
    }
  });
}

std::string python_title(std::string_view text) {
  bool is_inside = false;
  return for_each_character(text, [&](std::string& result, char32_t code_point, size_t at) {
    if (is_inside) {
      append_lower(result, text, at);
    } else {
      append_changed(result, kTitleCase, code_point);
    }
    is_inside = is_cased(code_point);
  });
}

std::string python_swapcase(std::string_view text) {
  return for_each_character(text, [&](std::string& result, char32_t code_point, size_t at) {
    if (changes(kLowerCase, code_point)) {
      append_lower(result, text, at);
    } else {
      append_changed(result, kUpperCase, code_point);
    }
  });
}

std::string python_repr(std::string_view text) {
  const bool has_only_single =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = has_only_single ? '"' : '\'';
  return quote +
         for_each_character(text, [quote](std::string& result, char32_t code_point,
                                          size_t) { append_escaped(result, code_point, quote); }) +
         quote;
}

size_t find_part(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // std::string::find takes the product of both lengths at worst.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t find_last_part(std::string_view text, std::string_view part) {
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_part(part.rbegin(), part.rend());
  const size_t found = find_part(reversed_text, reversed_part);
  return found == std::string_view::npos ? found : text.size() - found - part.size();
}

std::string python_replace(std::string_view text, std::string_view part, std::string_view with,
                           int64_t most) {
  std::string result;
  size_t position = 0;
  for (; most != 0; --most) {
    const size_t found = find_part(text, part, position);
    if (found == std::string_view::npos) break;
    result.append(text.substr(position, found - position)).append(with);
    position = found + part.size();
    if (!part.empty()) continue;
    if (position >= text.size()) return result;  // an empty part stands between all characters
    const size_t length = decode_utf8(text, position).length;
    result.append(text.substr(position, length));
    position += length;
  }
  return result.append(text.substr(position));
}

std::vector<std::string_view> python_split(std::string_view text, int64_t most, Side from) {
  const auto words = words_of(text);
  std::vector<std::string_view> parts;
  const auto add_words = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      parts.push_back(text.substr(words[i].begin, words[i].size()));
    }
  };
  const size_t count = most < 0 ? words.size() : static_cast<size_t>(most);
  if (count >= words.size()) {
    add_words(0, words.size());
  } else if (from == Side::kRight) {  // what is not split stands in front
    const size_t first = words.size() - count;
    parts.push_back(text.substr(0, words[first - 1].end));
    add_words(first, words.size());
  } else {
    add_words(0, count);
    parts.push_back(text.substr(words[count].begin));
  }
  return parts;
}

std::vector<std::string_view> python_split(std::string_view text, std::string_view separator,
                                           int64_t most, Side from) {
  std::vector<std::string_view> parts;
  if (from == Side::kRight && most >= 0) {
    for (; most > 0; --most) {
      const size_t found = find_last_part(text, separator);
      if (found == std::string_view::npos) break;
      parts.push_back(text.substr(found + separator.size()));
      text = text.substr(0, found);
    }
    parts.push_back(text);
    std::ranges::reverse(parts);
    return parts;
  }
  for (; most != 0; --most) {
    const size_t found = find_part(text, separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> python_lines(std::string_view text, bool keeps_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    const size_t line_end = position;
    position += character.length;
    if (!is_line_end(character.code_point)) continue;
    if (character.code_point == '\r' && text.substr(position).starts_with('\n')) ++position;
    lines.push_back(text.substr(begin, (keeps_ends ? position : line_end) - begin));
    begin = position;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace cpx::tokenizer
