// SPDX-License-Identifier: Apache-2.0
// Formats texts and counts for messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cpx {

/// `text` on one line: control characters, characters that hide or reorder others, and bytes that
/// are not UTF-8 become `\xNN`. A text of more than `max_bytes` bytes is cut between two characters
/// and ends in "...".
std::string printable(std::string_view text, size_t max_bytes = 100);

/// printable(text) in single quotes.
std::string quote(std::string_view text);

/// "1 file", "3 files".
std::string counted(int64_t number, std::string_view noun);
/// "1 copy", "3 copies".
std::string counted(int64_t number, std::string_view one, std::string_view several);

/// True if the text is empty or consists of blanks and line breaks.
bool is_blank(std::string_view text);

}  // namespace cpx
