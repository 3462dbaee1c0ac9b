// SPDX-License-Identifier: Apache-2.0
// What methods of Python's str make of a text, over UTF-8: for code that must agree with published
// Python programs to the byte. Positions and lengths count code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cpx::tokenizer {

/// As len(text): the number of code points.
int64_t python_length(std::string_view text);

/// True for the characters that str.isspace() and `\s` of the module re mean.
bool is_python_space(char32_t code_point);

/// As text.strip(): without the white space at both ends.
std::string_view python_strip(std::string_view text);

/// As text.rstrip(): without the white space at the end.
std::string_view python_rstrip(std::string_view text);

/// As text.capitalize(): the first character in title case, all others in lower case.
std::string python_capitalize(std::string_view text);

/// As text.replace(part, with, most): from left to right, in one pass. `part` may be empty; `most`
/// below 0 is without limit.
std::string python_replace(std::string_view text, std::string_view part, std::string_view with,
                           int64_t most = -1);

}  // namespace cpx::tokenizer
