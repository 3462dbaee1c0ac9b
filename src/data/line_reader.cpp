// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/line_reader.h"

#include <cerrno>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/utf8.h"
#include "json_items.h"

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPieceBytes = size_t{1} << 18;
constexpr size_t kMaxLineMebibytes = 64;

std::ifstream open(const fs::path& file) {
  std::error_code error;
  if (fs::is_directory(file, error)) {
    throw_<DataError>("[read] {}: is a folder, expected a file.", file.string());
  }
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw_<DataError>("[read] {}: cannot be read: {}.", file.string(),
                      system_error_text(errno == 0 ? EIO : errno));
  }
  return stream;
}

}  // namespace

LineReader::LineReader(fs::path file) : file_(std::move(file)), stream_(open(file_)) {}

bool LineReader::is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// Appends a piece of the file to the buffer; false at its end.
bool LineReader::fill() {
  buffer_.erase(0, std::exchange(begin_, 0));
  const size_t before = buffer_.size();
  if (before > kMaxLineMebibytes << 20) {
    throw_<DataError>(
        "[{}: line {}] got a line of more than {} MiB, expected a text a line. Is it a text file?",
        file_.string(), line_number_ + 1, kMaxLineMebibytes);
  }
  buffer_.resize(before + kPieceBytes);
  stream_.read(buffer_.data() + before, static_cast<std::streamsize>(kPieceBytes));
  buffer_.resize(before + static_cast<size_t>(stream_.gcount()));
  if (stream_.bad()) throw_<DataError>("[read] {}: cannot be read to its end.", file_.string());
  return buffer_.size() > before;
}

std::optional<std::string_view> LineReader::next() {
  size_t searched = begin_;
  size_t end = buffer_.find('\n', searched);
  while (end == std::string::npos) {
    searched = buffer_.size() - begin_;  // where the buffer's end will be once it is filled
    if (!fill()) break;
    end = buffer_.find('\n', searched);
  }
  if (end == std::string::npos) {
    if (begin_ == buffer_.size()) return std::nullopt;
    end = buffer_.size();  // the last line has no end
  }
  std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  const int64_t offset = bytes_read_;
  begin_ = std::min(end + 1, buffer_.size());
  bytes_read_ += std::ssize(line) + (end < buffer_.size() ? 1 : 0);
  ++line_number_;
  if (const auto bad = first_invalid_utf8(line)) {
    throw DataError(not_utf8(file_, line_number_, line[*bad], static_cast<size_t>(offset) + *bad));
  }
  if (line_number_ == 1 && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace cpx::data
