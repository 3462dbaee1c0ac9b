// SPDX-License-Identifier: Apache-2.0
// Text files of any size, line by line, in the memory of one line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace cpx::data {

/// Reads the lines of a UTF-8 file in their order.
class LineReader {
 public:
  /// Throws DataError where the file cannot be read.
  explicit LineReader(std::filesystem::path file);

  /// The next line without its end ("\n" or "\r\n") and without a byte order mark, valid until the
  /// next call; nothing at the file's end. Throws DataError, with the line, for what is not UTF-8
  /// and for a line of more than 64 MiB.
  std::optional<std::string_view> next();

  /// Of the line that was read last, counted from 1.
  int64_t line_number() const { return line_number_; }
  /// Up to the end of that line.
  int64_t bytes_read() const { return bytes_read_; }
  /// True for an empty line, or one of blanks alone.
  static bool is_blank(std::string_view line);

 private:
  bool fill();

  std::filesystem::path file_;
  std::ifstream stream_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not given out yet, in the buffer
  int64_t line_number_ = 0;
  int64_t bytes_read_ = 0;
};

}  // namespace cpx::data
