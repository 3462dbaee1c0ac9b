// SPDX-License-Identifier: Apache-2.0
#include "text_lines.h"

#include <algorithm>

#include <fmt/format.h>

#include "json_items.h"

namespace cpx::data {

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == text.npos; }

std::vector<TextLine> read_text_lines(const std::filesystem::path& file,
                                      std::vector<std::string>& faults) {
  std::vector<TextLine> lines;
  const std::string content = read_utf8_file(file, faults);
  std::string_view rest = content;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!is_blank(line)) lines.push_back({std::string(line), number});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (lines.empty() && faults.empty()) {
    faults.push_back(
        fmt::format("[{}] got no line with text, expected a text a line.", file.string()));
  }
  return lines;
}

}  // namespace cpx::data
