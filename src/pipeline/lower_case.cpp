// SPDX-License-Identifier: Apache-2.0
#include "lower_case.h"

#include <locale.h>
#include <wctype.h>

#include "cpx/core/error.h"
#include "cpx/core/utf8.h"

namespace cpx::pipeline {

namespace {

static_assert(sizeof(wchar_t) == sizeof(char32_t));

// Lives as long as the process.
locale_t utf8_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
  if (locale == locale_t{}) {
    throw_<DataError>(
        "[lower_case] locale: the system has no 'C.UTF-8', expected it for the letters of all "
        "scripts. glibc has it from version 2.35 on.");
  }
  return locale;
}

}  // namespace

std::string lower_case(std::string_view text) {
  const locale_t locale = utf8_locale();
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto [code_point, length] = decode_utf8(text, at);
    const auto lower = static_cast<char32_t>(towlower_l(static_cast<wint_t>(code_point), locale));
    if (lower == code_point) {
      result.append(text, at, length);
    } else {
      append_utf8(result, lower);
    }
    at += length;
  }
  return result;
}

}  // namespace cpx::pipeline
