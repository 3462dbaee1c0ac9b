// SPDX-License-Identifier: Apache-2.0
// Text files as whoever wrote them meant them: UTF-8 with or without a byte order mark, with lines
// that end in "\n", "\r\n" or "\r". What is no text (compressed files, tables) is told as such.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace cpx {

/// What may stand in front of UTF-8.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The text of a file without a byte order mark and with "\n" at the end of each line. Throws
/// DataError for a file that cannot be read, is not UTF-8, or is of a form that is no text.
std::string read_text(const std::filesystem::path& file);

/// Takes the "\r" of another system off the end of a line that was read elsewhere, and of the first
/// one a byte order mark.
void trim_line(std::string& line, bool is_first);

/// Throws DataError where the name or the first bytes of a file show that it is compressed, or a
/// table of another program; the message says how to convert it.
void refuse_other_forms(const std::filesystem::path& file, std::string_view first_bytes);

/// What is said of a byte that is no UTF-8: "[a.txt: line 2] not UTF-8: ...".
std::string not_utf8(std::string_view place, int64_t line, char byte, size_t offset);

/// A file's bytes in pieces.
class FilePieces {
 public:
  /// Throws DataError where the file cannot be read, or is of a form that is no text.
  explicit FilePieces(std::filesystem::path file);

  /// Appends some bytes of the file to `buffer`, without a byte order mark; false at its end.
  bool append_to(std::string& buffer);

  const std::filesystem::path& path() const { return file_; }
  int64_t size() const { return size_; }
  /// Of the byte order mark: how many bytes were left out.
  size_t num_skipped() const { return num_skipped_; }

 private:
  std::filesystem::path file_;
  std::ifstream stream_;
  int64_t size_ = 0;
  size_t num_skipped_ = 0;
  bool is_at_start_ = true;
};

/// Reads the lines of a UTF-8 file in their order, in the memory of one line.
class LineReader {
 public:
  /// Throws DataError where the file cannot be read, or is of a form that is no text.
  explicit LineReader(std::filesystem::path file);

  /// The next line without its end and without a byte order mark, valid until the next call;
  /// nothing at the file's end. Throws DataError, with the line, for what is not UTF-8 and for a
  /// line of more than 64 MiB.
  std::optional<std::string_view> next();

  /// Of the line that was read last, counted from 1.
  int64_t line_number() const { return line_number_; }
  /// Up to the end of that line.
  int64_t bytes_read() const { return bytes_read_; }
  /// Size of the file.
  int64_t num_bytes() const { return pieces_.size(); }

 private:
  bool fill();
  size_t find_end();

  FilePieces pieces_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not given out yet, in the buffer
  bool is_complete_ = false;
  int64_t line_number_ = 0;
  int64_t bytes_read_ = 0;
};

}  // namespace cpx
