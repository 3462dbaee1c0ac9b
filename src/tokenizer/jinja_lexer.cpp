// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, lexer.py: its regular expressions, read by hand.
#include "jinja_lexer.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "cpx/core/text.h"
#include "cpx/core/utf8.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

bool is_digit_of(char c, int base) {
  const int value = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
  return value < base;
}

bool is_name_character(char c) {
  return is_digit_of(c, 10) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// All line ends as \n; one at the very end goes.
std::string normalize_lines(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

// ---- Literals -----------------------------------------------------------------------------------

std::optional<char32_t> parse_digits(std::string_view digits, int base) {
  char32_t value = 0;
  for (const char c : digits) {
    if (!is_digit_of(c, base)) return std::nullopt;
    value = value * static_cast<char32_t>(base) +
            static_cast<char32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

// Reads a string literal, whose escapes are Python's.
class StringReader {
 public:
  StringReader(std::string_view inside, int line) : inside_(inside), line_(line) {}

  std::string read() {
    while (position_ < inside_.size()) {
      const char c = inside_[position_++];
      if (c == '\\') {
        read_escape();
      } else {
        text_ += c;
      }
    }
    return std::move(text_);
  }

 private:
  void read_escape() {
    const char kind = inside_[position_++];
    constexpr std::string_view kEscaped = "\\'\"abfnrtv";
    constexpr std::string_view kMeaning = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t found = kEscaped.find(kind); found != std::string_view::npos) {
      text_ += kMeaning[found];
    } else if (is_digit_of(kind, 8)) {
      read_octal();
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
      read_hexadecimal(kind == 'x' ? 2 : kind == 'u' ? 4 : 8);
    } else if (kind == 'N') {
      fail_syntax(line_, "a text has the escape '\\N', which cpx does not know");
    } else if ((kind & 0x80) != 0) {
      read_escaped_letter();
    } else if (kind != '\n') {
      text_ += {'\\', kind};
    }
  }

  void read_octal() {
    size_t end = position_;
    while (end < inside_.size() && end < position_ + 2 && is_digit_of(inside_[end], 8)) ++end;
    append_utf8(text_, *parse_digits(inside_.substr(position_ - 1, end - position_ + 1), 8));
    position_ = end;
  }

  void read_hexadecimal(size_t num_digits) {
    const std::string_view digits = inside_.substr(position_, num_digits);
    const auto code_point = parse_digits(digits, 16);
    if (digits.size() != num_digits || !code_point || *code_point > 0x10FFFF) {
      fail_syntax(line_, fmt::format("a text has the escape {}, which is not complete",
                                     quote("\\" + std::string(1, inside_[position_ - 1]) +
                                           std::string(digits))));
    }
    if (*code_point >= 0xD800 && *code_point <= 0xDFFF) {
      fail_syntax(line_, "a text has half of a surrogate pair, which is no character");
    }
    append_utf8(text_, *code_point);
    position_ += num_digits;
  }

  // Python turns a letter beyond ASCII into an escape, whose backslash the one in front escapes.
  void read_escaped_letter() {
    const auto letter = decode_utf8(inside_, --position_);
    const auto code = static_cast<uint32_t>(letter.code_point);
    text_ += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    position_ += letter.length;
  }

  std::string_view inside_;
  int line_;
  size_t position_ = 0;
  std::string text_;
};

// ---- The template -------------------------------------------------------------------------------

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_lines(source)) {}

  std::vector<Token> read() {
    while (position_ < source_.size()) read_data();
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool is_at(std::string_view text) const { return rest().starts_with(text); }

  void add(Token::Kind kind, std::string text) {
    tokens_.push_back({.kind = kind, .text = std::move(text), .line = line_});
  }

  // Moves on, counting lines.
  void advance(size_t length) {
    line_ += static_cast<int>(std::ranges::count(rest().substr(0, length), '\n'));
    position_ += length;
  }

  bool starts_line(size_t position) const { return position == 0 || source_[position - 1] == '\n'; }

  size_t space_at(size_t position) const {
    return position < source_.size() && is_python_space(decode_utf8(source_, position).code_point)
               ? decode_utf8(source_, position).length
               : 0;
  }

  void skip_spaces() {
    while (const size_t length = space_at(position_)) advance(length);
  }

  // Text up to the next tag, and the tag.
  void read_data() {
    size_t open = position_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        add_data(position_, source_.size(), '{', '+');
        advance(rest().size());
        return;
      }
      const char kind = source_[open + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
      ++open;
    }
    const char kind = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    add_data(position_, open, kind, sign);
    advance(open - position_);
    const int line = line_;
    advance(has_sign ? 3 : 2);
    if (kind == '#') {
      read_comment(line);
    } else if (kind == '%' && accept_raw()) {
      read_raw(line);
    } else {
      read_tag(kind, line);
    }
  }

  // The text in front of a tag of that kind: without its white space where there is a '-', without
  // what stands alone in front of a block.
  void add_data(size_t begin, size_t end, char kind, char sign) {
    std::string text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = python_strip(text, Side::kRight);
    } else if (kind != '{' && sign != '+') {
      const size_t line = text.rfind('\n') + 1;
      const bool is_line = line > 0 || starts_line(begin);
      const bool is_blank = python_strip(std::string_view(text).substr(line), Side::kLeft).empty();
      if (is_line && is_blank) text.resize(line);
    }
    if (!text.empty()) add(Token::Kind::kData, std::move(text));
  }

  // The end of a block's tag or comment at `close`, with the white space that it takes along.
  bool accept_end(std::string_view close, bool takes_plus, bool trims_line) {
    if (is_at("-" + std::string(close))) {
      advance(1 + close.size());
      skip_spaces();
    } else if (takes_plus && is_at("+" + std::string(close))) {
      advance(1 + close.size());
    } else if (is_at(close)) {
      advance(close.size());
      if (trims_line && is_at("\n")) advance(1);
    } else {
      return false;
    }
    return true;
  }

  void read_comment(int line) {
    while (position_ < source_.size()) {
      if (accept_end("#}", /*takes_plus=*/true, /*trims_line=*/true)) return;
      advance(1);
    }
    fail_syntax(line, "a comment is not closed by '#}'");
  }

  // The rest of {% raw %}; moves nothing where it is another tag.
  bool accept_raw() { return accept_word("raw", /*takes_plus=*/false, /*trims_line=*/false); }

  bool accept_word(std::string_view word, bool takes_plus, bool trims_line) {
    const std::pair before(position_, line_);
    skip_spaces();
    if (is_at(word)) {
      advance(word.size());
      skip_spaces();
      if (accept_end("%}", takes_plus, trims_line)) return true;
    }
    std::tie(position_, line_) = before;
    return false;
  }

  void read_raw(int line) {
    const size_t begin = position_;
    const int begin_line = line_;
    while (position_ < source_.size()) {
      const size_t open = position_;
      if (!is_at("{%")) {
        advance(1);
        continue;
      }
      const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
      advance(sign == '-' || sign == '+' ? 3 : 2);
      if (!accept_word("endraw", /*takes_plus=*/true, /*trims_line=*/true)) continue;
      const int end_line = std::exchange(line_, begin_line);
      add_data(begin, open, '%', sign);
      line_ = end_line;
      return;
    }
    fail_syntax(line, "'raw' is not closed by 'endraw'");
  }

  void read_tag(char kind, int line) {
    const bool is_print = kind == '{';
    tokens_.push_back(
        {.kind = is_print ? Token::Kind::kPrintBegin : Token::Kind::kBlockBegin, .line = line});
    const std::string_view close = is_print ? "}}" : "%}";
    open_brackets_.clear();
    while (position_ < source_.size()) {
      const int end_line = line_;
      if (open_brackets_.empty() && accept_end(close, !is_print, !is_print)) {
        tokens_.push_back(
            {.kind = is_print ? Token::Kind::kPrintEnd : Token::Kind::kBlockEnd, .line = end_line});
        return;
      }
      read_token();
    }
    fail_syntax(line, fmt::format("a tag is not closed by '{}'", close));
  }

  void read_token() {
    if (const size_t space = space_at(position_)) {
      advance(space);
    } else if (is_digit_of(source_[position_], 10)) {
      read_number();
    } else if (is_name_character(source_[position_])) {
      read_while(Token::Kind::kName, is_name_character);
    } else if (is_at("'") || is_at("\"")) {
      read_string();
    } else {
      read_symbol();
    }
  }

  void read_while(Token::Kind kind, bool (*is_part)(char)) {
    size_t length = 0;
    while (length < rest().size() && is_part(rest()[length])) ++length;
    add(kind, std::string(rest().substr(0, length)));
    advance(length);
  }

  // Digits with single '_' between them, from `begin`; the length.
  size_t digits_at(size_t begin, int base) const {
    size_t end = begin;
    while (end < source_.size() &&
           (is_digit_of(source_[end], base) ||
            (source_[end] == '_' && end > begin && source_[end - 1] != '_' &&
             end + 1 < source_.size() && is_digit_of(source_[end + 1], base)))) {
      ++end;
    }
    return end - begin;
  }

  // The length of a float at the position, or 0; behind a '.' there is none.
  size_t float_length() const {
    if (position_ > 0 && source_[position_ - 1] == '.') return 0;
    size_t end = position_ + digits_at(position_, 10);
    bool is_float = false;
    if (end < source_.size() && source_[end] == '.' && digits_at(end + 1, 10) > 0 &&
        source_[end + 1] != '_') {
      end += 1 + digits_at(end + 1, 10);
      is_float = true;
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      const bool has_sign =
          end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
      const size_t digits = end + (has_sign ? 2 : 1);
      if (digits_at(digits, 10) > 0) {
        end = digits + digits_at(digits, 10);
        is_float = true;
      }
    }
    return is_float ? end - position_ : 0;
  }

  size_t integer_length() const {
    const char mark = position_ + 1 < source_.size() ? source_[position_ + 1] | 0x20 : '\0';
    const int base = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 10;
    if (source_[position_] != '0') return digits_at(position_, 10);
    if (base != 10 && digits_at(position_ + 2, base) > 0) return 2 + digits_at(position_ + 2, base);
    return digits_at(position_, 1);  // zeros: a number does not begin with them
  }

  void read_number() {
    const size_t length_as_float = float_length();
    const size_t length = length_as_float > 0 ? length_as_float : integer_length();
    std::string digits(rest().substr(0, length));
    std::erase(digits, '_');
    add(length_as_float > 0 ? Token::Kind::kFloat : Token::Kind::kInteger, std::move(digits));
    advance(length);
  }

  void read_string() {
    const char quote = source_[position_];
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_syntax(line_, "a text has no end");
    const auto inside = std::string_view(source_).substr(position_ + 1, end - position_ - 1);
    add(Token::Kind::kString, StringReader(inside, line_).read());
    advance(end + 1 - position_);
  }

  void read_symbol() {
    for (const std::string_view symbol : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!is_at(symbol)) continue;
      add(Token::Kind::kSymbol, std::string(symbol));
      advance(2);
      return;
    }
    constexpr std::string_view kSymbols = "+-/*%~[](){}><=.:|,;";
    const char symbol = source_[position_];
    if (kSymbols.find(symbol) == std::string_view::npos) {
      const size_t length = decode_utf8(source_, position_).length;
      fail_syntax(line_, fmt::format("{} is no part of a tag", quote(rest().substr(0, length))));
    }
    balance(symbol);
    add(Token::Kind::kSymbol, std::string(1, symbol));
    advance(1);
  }

  void balance(char symbol) {
    constexpr std::string_view kOpen = "([{";
    constexpr std::string_view kClose = ")]}";
    if (const size_t open = kOpen.find(symbol); open != std::string_view::npos) {
      open_brackets_ += kClose[open];
    }
    if (kClose.find(symbol) == std::string_view::npos) return;
    if (open_brackets_.empty()) fail_syntax(line_, fmt::format("'{}' closes nothing", symbol));
    if (open_brackets_.back() != symbol) {
      fail_syntax(line_, fmt::format("got '{}', expected '{}'", symbol, open_brackets_.back()));
    }
    open_brackets_.pop_back();
  }

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  std::string open_brackets_;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_syntax(int line, std::string what) {
  throw SyntaxFault{.what = std::move(what), .line = line};
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).read(); }

}  // namespace cpx::tokenizer::jinja
