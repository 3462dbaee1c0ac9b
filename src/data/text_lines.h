// SPDX-License-Identifier: Apache-2.0
// Files of a text a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cpx::data {

struct TextLine {
  std::string text;
  int64_t number = 0;  // counted from 1, blank lines too
};

/// The lines of `file` that are not blank; "\n" and "\r\n" end a line. A file that cannot be read,
/// is not UTF-8 or has no such line gives a fault.
std::vector<TextLine> read_text_lines(const std::filesystem::path& file,
                                      std::vector<std::string>& faults);

}  // namespace cpx::data
