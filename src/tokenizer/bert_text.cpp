// SPDX-License-Identifier: Apache-2.0
#include "bert_text.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>

#include "bert_unicode.h"
#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

namespace {

namespace unicode = bert_unicode;

bool is_within(std::span<const unicode::Range> ranges, char32_t code_point) {
  const auto next = std::ranges::upper_bound(ranges, code_point, {}, &unicode::Range::first);
  return next != ranges.begin() && code_point <= std::prev(next)->last;
}

// A Hangul syllable is a consonant, a vowel and at times another consonant (Unicode 15, section
// 3.12).
std::u32string hangul_parts(char32_t code_point) {
  constexpr char32_t kFirst = 0x1100, kVowel = 0x1161, kLast = 0x11A7;
  constexpr char32_t kNumVowels = 21, kNumLasts = 28;
  const char32_t index = code_point - 0xAC00;
  std::u32string parts = {kFirst + index / (kNumVowels * kNumLasts),
                          kVowel + index / kNumLasts % kNumVowels};
  if (index % kNumLasts > 0) parts += kLast + index % kNumLasts;
  return parts;
}

std::u32string without_accents(char32_t code_point) {
  if (code_point < 0x80) return {code_point};
  if (code_point >= 0xAC00 && code_point <= 0xD7A3) return hangul_parts(code_point);
  if (is_within(unicode::kMarks, code_point)) return {};
  const auto* letter =
      std::ranges::lower_bound(unicode::kStripped, code_point, {}, &unicode::Letter::code_point);
  if (letter != std::end(unicode::kStripped) && letter->code_point == code_point) {
    return {letter->letter};
  }
  const auto* several =
      std::ranges::find(unicode::kStrippedToSeveral, code_point, &unicode::Letters::code_point);
  if (several == std::end(unicode::kStrippedToSeveral)) return {code_point};
  std::u32string letters;
  const std::string_view text = several->letters;
  for (size_t position = 0; position < text.size();) {
    const auto character = decode_utf8(text, position);
    letters += character.code_point;
    position += character.length;
  }
  return letters;
}

void append_lower_case(std::u32string& result, char32_t code_point) {
  if (code_point < 0x80) {
    const bool is_capital = code_point >= 'A' && code_point <= 'Z';
    result += is_capital ? code_point - 'A' + 'a' : code_point;
    return;
  }
  if (code_point == 0x130) {
    result += U"i\u0307";
    return;
  }
  for (const auto& range : unicode::kLower) {
    if (range.first > code_point) break;
    const bool is_inside = code_point >= range.first && code_point <= range.last &&
                           (code_point - range.first) % range.stride == 0;
    if (!is_inside) continue;
    result += static_cast<char32_t>(static_cast<int64_t>(code_point) + range.delta);
    return;
  }
  result += code_point;
}

// What the options make of one character; may be nothing.
std::u32string changed(char32_t code_point, const BertTextOptions& options) {
  if (options.cleans_text) {
    if (is_within(unicode::kDropped, code_point)) return {};
    if (is_white_space(code_point)) return U" ";
  }
  const bool is_spaced = options.spaces_ideographs && is_within(unicode::kIdeographs, code_point);
  std::u32string letters = {code_point};
  if (options.strips_accents.value_or(options.lowers_case)) letters = without_accents(code_point);
  if (options.lowers_case) {
    std::u32string lower;
    for (const char32_t letter : letters) append_lower_case(lower, letter);
    letters = std::move(lower);
  }
  return is_spaced ? U" " + letters + U" " : letters;
}

bool is_bert_punctuation(char32_t code_point) {
  return is_within(unicode::kPunctuation, code_point);
}

}  // namespace

Normalizer bert_normalizer(const BertTextOptions& options) {
  return [options](const AlignedText& text, ByteRange range, AlignedText& output) {
    const std::string_view bytes = text.view(range);
    std::string letters;
    for (size_t position = 0; position < bytes.size();) {
      const auto character = decode_utf8(bytes, position);
      letters.clear();
      for (const char32_t letter : changed(character.code_point, options)) {
        append_utf8(letters, letter);
      }
      output.append(letters, text.origin(range.begin + position));
      position += character.length;
    }
  };
}

PreTokenizer bert_pre_tokenizer() {
  return [](PieceList& pieces) {
    pieces.split([](std::string_view text, const PieceList::Emit& emit) {
      size_t begin = 0;
      for (size_t position = 0; position < text.size();) {
        const auto character = decode_utf8(text, position);
        const size_t end = position + character.length;
        const bool is_mark = is_bert_punctuation(character.code_point);
        if (is_mark || is_white_space(character.code_point)) {
          emit({begin, position}, std::nullopt);
          if (is_mark) emit({position, end}, std::nullopt);
          begin = end;
        }
        position = end;
      }
      emit({begin, text.size()}, std::nullopt);
    });
  };
}

}  // namespace cpx::tokenizer
