// SPDX-License-Identifier: Apache-2.0
// Reads text files however they were written: UTF-8 with or without a byte order mark, with lines
// that end in "\n", "\r\n" or "\r". Files that are not text (compressed files, tables) are refused
// with a hint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace cpx {

/// The byte order mark with which a UTF-8 file may begin.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The text of a file without its byte order mark and with "\n" at the end of each line. Throws
/// DataError for a file that cannot be read, is not UTF-8, or is not a text file.
std::string read_text(const std::filesystem::path& file);

/// Removes a final "\r", and from the first line the byte order mark, of a line that other code has
/// read.
void trim_line(std::string& line, bool is_first);

/// Throws DataError if the name or the first bytes of a file show that it is compressed, or a table
/// of another program; the message says how to convert it.
void refuse_other_forms(const std::filesystem::path& file, std::string_view first_bytes);

/// The message for a byte that is not UTF-8: "[a.txt: line 2] not UTF-8: ...".
std::string not_utf8(std::string_view place, int64_t line, char byte, size_t offset);

/// Reads the bytes of a file in pieces.
class FilePieces {
 public:
  /// Throws DataError if the file cannot be read or is not a text file.
  explicit FilePieces(std::filesystem::path file);

  /// Appends the next bytes of the file, without a byte order mark, to `buffer`; false at the end
  /// of the file.
  bool append_to(std::string& buffer);

  const std::filesystem::path& path() const { return file_; }
  int64_t size() const { return size_; }
  /// Length of the byte order mark that was left out, in bytes.
  size_t num_skipped() const { return num_skipped_; }

 private:
  std::filesystem::path file_;
  std::ifstream stream_;
  int64_t size_ = 0;
  size_t num_skipped_ = 0;
  bool is_at_start_ = true;
};

/// Reads a UTF-8 file line by line, in memory for one line.
class LineReader {
 public:
  /// Throws DataError if the file cannot be read or is not a text file.
  explicit LineReader(std::filesystem::path file);

  /// The next line without its line break and without a byte order mark, valid until the next call;
  /// nullopt at the end of the file. Throws DataError, with the line number, for bytes that are not
  /// UTF-8 and for a line of more than 64 MiB.
  std::optional<std::string_view> next();

  /// Number of the last line read, counted from 1.
  int64_t line_number() const { return line_number_; }
  /// Bytes up to the end of that line.
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
