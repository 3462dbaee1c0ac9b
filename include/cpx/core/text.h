// SPDX-License-Identifier: Apache-2.0
// Texts as messages show them, and counts in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cpx {

/// `text` on one line: control characters, marks that turn or hide others, and bytes that are not
/// UTF-8 become \xNN; cut between characters after `max_bytes` ("..." stands for the rest).
std::string printable(std::string_view text, size_t max_bytes = 100);

/// `text` in single quotes, as printable() shows it.
std::string quote(std::string_view text);

/// "1 file", "3 files".
std::string counted(int64_t number, std::string_view noun);
/// "1 copy", "3 copies".
std::string counted(int64_t number, std::string_view one, std::string_view several);

/// True for a text of blanks and line breaks alone, and for an empty one.
bool is_blank(std::string_view text);

}  // namespace cpx
