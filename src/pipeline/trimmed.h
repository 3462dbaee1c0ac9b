// SPDX-License-Identifier: Apache-2.0
// Blanks around texts.
#pragma once

#include <string_view>

namespace cpx::pipeline {

inline constexpr std::string_view kBlanks = " \t\r\n\v\f";

/// The part of `text` between the blanks at its ends.
inline std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace cpx::pipeline
