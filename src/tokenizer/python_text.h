// SPDX-License-Identifier: Apache-2.0
// What the methods of Python's str make of a text, over UTF-8; positions count code points.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/tokenizer/python_strings.h"

namespace cpx::tokenizer {

/// The code points from `begin` to before `end`, both within the text.
std::string_view python_substring(std::string_view text, int64_t begin, int64_t end);

/// Which end of a text is meant.
enum class Side { kBoth, kLeft, kRight };

/// As strip(), lstrip() or rstrip(): takes off the characters of `characters`, or white space.
std::string_view python_strip(std::string_view text, Side side,
                              std::optional<std::string_view> characters = std::nullopt);

std::string python_upper(std::string_view text);
std::string python_lower(std::string_view text);
/// As str.title(): a word begins behind every character that has no case.
std::string python_title(std::string_view text);
std::string python_swapcase(std::string_view text);

/// As repr(text).
std::string python_repr(std::string_view text);

/// Where `part` begins at or behind byte `from`, or npos; takes time linear in both.
size_t find_part(std::string_view text, std::string_view part, size_t from = 0);

/// Where `part` begins last, or npos.
size_t find_last_part(std::string_view text, std::string_view part);

/// As split() and rsplit() without a separator: at white space.
std::vector<std::string_view> python_split(std::string_view text, int64_t most, Side from);
/// The same at a `separator`, which is not empty.
std::vector<std::string_view> python_split(std::string_view text, std::string_view separator,
                                           int64_t most, Side from);

/// As splitlines().
std::vector<std::string_view> python_lines(std::string_view text, bool keeps_ends);

}  // namespace cpx::tokenizer
