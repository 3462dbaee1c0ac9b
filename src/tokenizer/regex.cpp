// SPDX-License-Identifier: Apache-2.0
#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "cpx/core/error.h"

namespace cpx::tokenizer {

namespace {

// PCRE2's own \s also matches U+180E; Oniguruma's is White_Space.
constexpr std::string_view kSpaceSet = "\\p{Z}\\x{09}-\\x{0d}\\x{85}";

// The pattern with \s and \S spelled out. A \S inside a set stays PCRE2's.
std::string to_pcre2(std::string_view pattern) {
  std::string result;
  bool is_in_set = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        result += is_in_set ? std::string(kSpaceSet) : "[" + std::string(kSpaceSet) + "]";
      } else if (escaped == 'S' && !is_in_set) {
        result += "[^" + std::string(kSpaceSet) + "]";
      } else {
        result += {c, escaped};
      }
      continue;
    }
    if (c == '[') is_in_set = true;
    if (c == ']') is_in_set = false;
    result += c;
  }
  return result;
}

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

pcre2_match_data* match_data_of_this_thread() {
  thread_local const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create(1, nullptr));
  return data.get();
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  const std::string translated = to_pcre2(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error, &offset, nullptr);
  if (code->code == nullptr) {
    throw_<DataError>("[regex] pattern '{}' is not valid: {} at byte {}.", pattern,
                      error_text(error), offset);
  }
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // without JIT it is only slower
  code_ = std::move(code);
}

Regex Regex::literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
    if (!is_plain) pattern += '\\';
    pattern += c;
  }
  return Regex(pattern);
}

std::optional<ByteRange> Regex::find(std::string_view text, size_t from) const {
  pcre2_match_data* data = match_data_of_this_thread();
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  while (from < text.size()) {
    constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int count = pcre2_match(code_->code, subject, text.size(), from, kOptions, data, nullptr);
    if (count < PCRE2_ERROR_NOMATCH) {
      // The compiled code has a small stack; the interpreter takes its memory from the heap.
      count = pcre2_match(code_->code, subject, text.size(), from, kOptions | PCRE2_NO_JIT, data,
                          nullptr);
    }
    if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (count < 0) {
      throw_<DataError>("[regex] pattern '{}' cannot be matched against a text of {} bytes: {}.",
                        pattern_, text.size(), error_text(count));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data);
    if (range[0] < range[1]) return ByteRange{range[0], range[1]};
    from = range[0] + 1;
    while (from < text.size() && (text[from] & 0xC0) == 0x80) ++from;
  }
  return std::nullopt;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace cpx::tokenizer
