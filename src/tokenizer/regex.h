// SPDX-License-Identifier: Apache-2.0
// Regular expressions over UTF-8 with Unicode classes (PCRE2), in the dialect that tokenizer.json
// files use (Oniguruma's): `\s` is Unicode White_Space, `^` and `$` match at lines.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cpx::tokenizer {

/// Half-open range of bytes.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
};

/// A compiled pattern; may be used from several threads at once.
class Regex {
 public:
  /// Compiles `pattern`; throws DataError with the position and reason where it is not valid.
  explicit Regex(const std::string& pattern);

  /// A pattern that matches `text` itself.
  static Regex literal(std::string_view text);

  /// Calls `visit(range, is_match)` for every non-empty match and every stretch between matches,
  /// in order. `text` must be valid UTF-8.
  template <class Visitor>
  void for_each_part(std::string_view text, Visitor&& visit) const {
    size_t position = 0;
    while (position < text.size()) {
      const auto match = find(text, position);
      if (!match) break;
      if (position < match->begin) visit(ByteRange{position, match->begin}, /*is_match=*/false);
      visit(*match, /*is_match=*/true);
      position = match->end;
    }
    if (position < text.size()) visit(ByteRange{position, text.size()}, /*is_match=*/false);
  }

  /// The first non-empty match at or after `from`.
  std::optional<ByteRange> find(std::string_view text, size_t from) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  std::string pattern_;
  std::shared_ptr<const Code> code_;
};

/// True for Unicode White_Space, the characters that `\s` matches in tokenizer.json files.
bool is_white_space(char32_t code_point);

}  // namespace cpx::tokenizer
