// SPDX-License-Identifier: Apache-2.0
// Blank texts, and files of a text a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::data {

/// True for a text of blanks and line breaks alone, and for an empty one.
bool is_blank(std::string_view text);

struct TextLine {
  std::string text;
  int64_t number = 0;  // counted from 1, blank lines too
};

/// The lines of `file` that are not blank; "\n" and "\r\n" end a line. A file that cannot be read,
/// is not UTF-8 or has no such line gives a fault.
std::vector<TextLine> read_text_lines(const std::filesystem::path& file,
                                      std::vector<std::string>& faults);

}  // namespace cpx::data
