// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/json_stream.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cpx/core/text.h"
#include "cpx/core/utf8.h"

namespace cpx {

namespace {

constexpr std::string_view kJsonBlanks = " \t\r\n";

// Where a value of JSON ends, told byte by byte.
class ValueEnd {
 public:
  // True where `c` lies behind the value.
  bool is_behind(char c) {
    if (is_closed_) return true;
    if (is_in_text_) {
      in_text(c);
    } else if (c == '"') {
      is_in_text_ = true;
    } else if (c == '[' || c == '{') {
      ++depth_;
    } else if (depth_ == 0) {
      return c == ',' || c == ']' || c == '}' || kJsonBlanks.find(c) != std::string_view::npos;
    } else if (c == ']' || c == '}') {
      is_closed_ = --depth_ == 0;
    }
    return false;
  }

  // A list, an object or a text has begun and not ended.
  bool is_open() const { return !is_closed_ && (depth_ > 0 || is_in_text_); }

 private:
  void in_text(char c) {
    if (std::exchange(is_escaped_, false)) return;
    is_escaped_ = c == '\\';
    if (c != '"') return;
    is_in_text_ = false;
    is_closed_ = depth_ == 0;
  }

  int64_t depth_ = 0;
  bool is_in_text_ = false;
  bool is_escaped_ = false;
  bool is_closed_ = false;
};

// Python's words for numbers, and what they are read as. The longest come first.
constexpr std::pair<std::string_view, std::string_view> kPythonNumbers[] = {
    {"-Infinity", "-1.7976931348623157e308"},
    {"Infinity", "1.7976931348623157e308"},
    {"NaN", "null"}};

// JSON with the numbers of the standard: kPythonNumbers replaced outside of texts.
std::string with_standard_numbers(std::string_view text) {
  std::string result;
  bool is_in_text = false;
  for (size_t i = 0; i < text.size();) {
    const auto* word = std::ranges::find_if(kPythonNumbers, [&](const auto& one) {
      return !is_in_text && text.substr(i).starts_with(one.first);
    });
    if (word != std::end(kPythonNumbers)) {
      result += word->second;
      i += word->first.size();
    } else if (is_in_text && text[i] == '\\') {
      result += text.substr(i, 2);
      i += 2;
    } else {
      if (text[i] == '"') is_in_text = !is_in_text;
      result += text[i++];
    }
  }
  return result;
}

bool is_named_as_lines(const std::filesystem::path& file) {
  const auto ending = file.extension();
  return ending == ".jsonl" || ending == ".ndjson" || ending == ".jsonlines";
}

}  // namespace

JsonStream::JsonStream(const std::filesystem::path& file, std::string_view noun,
                       JsonNumbers numbers)
    : pieces_(file), name_(file.string()), noun_(noun), numbers_(numbers) {
  fill();
  offset_ = pieces_.num_skipped();
  open();
}

// Finds out how the file is made.
void JsonStream::open() {
  skip_blanks();
  const auto first = peek();
  if (!first) throw_<DataError>("[{}] got an empty file, expected {}s.", name_, noun_);
  if (*first == '[') {
    is_list_ = true;
    skip(1);
    skip_blanks();
    if (peek() == ']') throw_<DataError>("[{}] got an empty list, expected {}s.", name_, noun_);
  } else if (*first == '{' && !has_line_of_its_own()) {
    ends_ = Ends::kWithValue;
  }
}

bool JsonStream::fill() {
  buffer_.erase(0, std::exchange(begin_, 0));
  is_complete_ = true;  // where reading fails, there is no more
  is_complete_ = !pieces_.append_to(buffer_);
  return !is_complete_;
}

std::optional<char> JsonStream::peek(size_t ahead) {
  while (begin_ + ahead >= buffer_.size()) {
    if (is_complete_ || !fill()) return std::nullopt;
  }
  return buffer_[begin_ + ahead];
}

// Passes over bytes that have been seen; a line ends in "\n", "\r\n" or "\r".
void JsonStream::skip(size_t count) {
  for (; count > 0; --count) {
    const char c = buffer_[begin_];
    if (c == '\n' || (c == '\r' && peek(1) != '\n')) ++line_;
    ++begin_;
    ++offset_;
  }
}

void JsonStream::skip_blanks() {
  for (auto c = peek(); c && kJsonBlanks.find(*c) != std::string_view::npos; c = peek()) skip(1);
}

size_t JsonStream::size_of_value() {
  ValueEnd end;
  size_t size = 0;
  for (auto c = peek(); c && !end.is_behind(*c); c = peek(size)) ++size;
  is_done_ = end.is_open();  // cut short: what the parser says of the value is enough
  return size;
}

size_t JsonStream::size_of_line() {
  size_t size = 0;
  for (auto c = peek(); c && *c != '\n' && *c != '\r'; c = peek(size)) ++size;
  return size;
}

// False for an object that goes on behind its first line. Where the name promises lines, only a
// bracket alone does: anything else is a line that is broken.
bool JsonStream::has_line_of_its_own() {
  const size_t size = size_of_line();
  const std::string_view line = std::string_view(buffer_).substr(begin_, size);
  ValueEnd end;
  for (const char c : line) {
    if (end.is_behind(c)) break;
  }
  return !end.is_open() || (is_named_as_lines(name_) && !is_blank(line.substr(1)));
}

JsonValue JsonStream::parse(size_t size, std::string place) {
  const std::string text = buffer_.substr(begin_, size);
  const TextOrigin origin{.line = line_, .offset = offset_};
  skip(size);
  if (const auto bad = first_invalid_utf8(text)) {
    int64_t line = origin.line;
    for (const char c : text.substr(0, *bad)) line += c == '\n';
    throw DataError(not_utf8(fmt::format("[{}]", name_), line, text[*bad], origin.offset + *bad));
  }
  return JsonValue::parse(std::move(place),
                          numbers_ == JsonNumbers::kPython ? with_standard_numbers(text) : text,
                          origin);
}

void JsonStream::fail_at_line(std::string_view what, std::string_view expected) {
  is_done_ = true;
  const auto c = peek();
  const std::string got = c ? quote(std::string(1, *c)) : "the file's end";
  throw_<DataError>("[{}: line {}] is not valid JSON: got {} {}, expected {}.", name_, line_, got,
                    what, expected);
}

// Passes over what stands in front of an element of the list; false behind the last one.
bool JsonStream::enter_element() {
  skip_blanks();
  if (num_values_ > 0) {
    if (peek() == ']') {
      skip(1);
      skip_blanks();
      if (peek()) fail_at_line("behind the list", "nothing there");
      is_done_ = true;
      return false;
    }
    if (peek() != ',') fail_at_line(fmt::format("behind {} {}", noun_, num_values_), "',' or ']'");
    skip(1);
    skip_blanks();
  }
  const auto c = peek();
  if (!c || *c == ',' || *c == ']' || *c == '}') {
    fail_at_line(fmt::format("for {} {}", noun_, num_values_ + 1), "a value");
  }
  return true;
}

std::optional<JsonValue> JsonStream::next() {
  if (is_done_) return std::nullopt;
  if (is_list_) {
    if (!enter_element()) return std::nullopt;
    const size_t size = size_of_value();
    std::string place = fmt::format("[{}: {} {}]", name_, noun_, ++num_values_);
    return parse(size, std::move(place));
  }
  skip_blanks();
  if (!peek()) return std::nullopt;
  const size_t size = ends_ == Ends::kAtLine ? size_of_line() : size_of_value();
  std::string place = fmt::format("[{}: {} {}, line {}]", name_, noun_, ++num_values_, line_);
  return parse(size, std::move(place));
}

bool holds_json(const std::filesystem::path& file) {
  if (file.extension() == ".json" || is_named_as_lines(file)) return true;
  if (file.extension() == ".txt") return false;
  FilePieces pieces(file);
  std::string beginning;
  while (is_blank(beginning)) {
    beginning.clear();
    if (!pieces.append_to(beginning)) return false;
  }
  const char first = beginning[beginning.find_first_not_of(kJsonBlanks)];
  return first == '[' || first == '{';
}

void for_each_json(const std::filesystem::path& file, std::string_view noun, Faults& faults,
                   const std::function<void(const JsonValue&)>& use, JsonNumbers numbers) {
  faults.collect([&] {
    JsonStream stream(file, noun, numbers);
    bool is_at_end = false;
    while (!is_at_end) {
      faults.collect([&] {
        const auto value = stream.next();
        is_at_end = !value;
        if (value) use(*value);
      });
    }
  });
}

JsonItems read_json_items(const std::filesystem::path& file, std::string_view noun) {
  JsonItems items;
  for_each_json(file, noun, items.faults,
                [&](const JsonValue& value) { items.values.push_back(value); });
  return items;
}

}  // namespace cpx
