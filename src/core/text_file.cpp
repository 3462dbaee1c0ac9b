// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/text_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/utf8.h"

namespace cpx {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPieceBytes = size_t{1} << 18;
constexpr size_t kMaxLineMebibytes = 64;

// A form of file that is no text: known by its first bytes, by its ending, or by both.
struct OtherForm {
  std::string_view first_bytes;  // empty: known by its ending alone
  std::string_view ending;
  std::string_view name;
  std::string_view conversion;  // {} is the file
};

constexpr std::string_view kByPandas =
    "Convert it: python3 -c \"import pandas; pandas.{0}('{1}').to_json('{1}.jsonl', "
    "orient='records', lines=True)\"";

constexpr std::string_view kToUtf8 = "Convert it: iconv -f UTF-16 -t UTF-8 '{0}' > '{0}.utf8'";

using namespace std::string_view_literals;

constexpr OtherForm kOtherForms[] = {
    {"\x1F\x8B"sv, ".gz", "compressed by gzip", "Unpack it: gzip -dk '{}'"},
    {"\x28\xB5\x2F\xFD"sv, ".zst", "compressed by Zstandard", "Unpack it: zstd -dk '{}'"},
    {"\xFD\x37zXZ"sv, ".xz", "compressed by xz", "Unpack it: xz -dk '{}'"},
    {"BZh91AY&SY"sv, ".bz2", "compressed by bzip2", "Unpack it: bzip2 -dk '{}'"},
    {"", ".xlsx", "an Excel table", "read_excel"},
    {"PK\x03\x04"sv, ".zip", "a ZIP archive", "Unpack it: unzip '{}'"},
    {"PAR1\x15"sv, ".parquet", "a Parquet table", "read_parquet"},
    {"ARROW1\0"sv, ".arrow", "an Arrow table", "read_feather"},
    {"", ".feather", "an Arrow table", "read_feather"},
    {"\xFF\xFE"sv, ".utf16", "in UTF-16", kToUtf8},
    {"\xFE\xFF"sv, ".utf16", "in UTF-16", kToUtf8},
    {"", ".csv", "a table of comma-separated values",
     "Convert it: python3 -c \"import csv, json; [print(json.dumps(row)) for row in "
     "csv.DictReader(open('{0}'))]\" > '{0}.jsonl'"},
    {"", ".tsv", "a table of tab-separated values",
     "Convert it: python3 -c \"import csv, json; [print(json.dumps(row)) for row in "
     "csv.DictReader(open('{0}'), delimiter=chr(9))]\" > '{0}.jsonl'"},
};

std::string conversion_of(const OtherForm& form, const std::string& file) {
  if (form.conversion.starts_with("read_")) {
    return fmt::format(fmt::runtime(kByPandas), form.conversion, file);
  }
  return fmt::format(fmt::runtime(form.conversion), file);
}

const OtherForm* other_form(std::string_view ending, std::string_view first_bytes) {
  const auto has_its_bytes = [&](const OtherForm& form) {
    return !form.first_bytes.empty() && first_bytes.starts_with(form.first_bytes);
  };
  // The ending says more where the bytes are those of a container (.xlsx is a ZIP archive).
  for (const OtherForm& form : kOtherForms) {
    if (form.ending == ending && (form.first_bytes.empty() || has_its_bytes(form))) return &form;
  }
  const auto* by_bytes = std::ranges::find_if(kOtherForms, has_its_bytes);
  if (by_bytes != std::end(kOtherForms)) return by_bytes;
  const auto* by_ending = std::ranges::find(kOtherForms, ending, &OtherForm::ending);
  return by_ending == std::end(kOtherForms) ? nullptr : by_ending;
}

std::ifstream open_file(const fs::path& file) {
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

int64_t line_at(std::string_view text, size_t offset) {
  return 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(offset), '\n');
}

// "\r\n" and "\r" to "\n".
void unify_line_ends(std::string& text) {
  size_t to = text.find('\r');
  if (to == std::string::npos) return;
  for (size_t from = to; from < text.size(); ++from) {
    if (text[from] == '\r' && from + 1 < text.size() && text[from + 1] == '\n') continue;
    text[to++] = text[from] == '\r' ? '\n' : text[from];
  }
  text.resize(to);
}

}  // namespace

void refuse_other_forms(const fs::path& file, std::string_view first_bytes) {
  const OtherForm* form = other_form(file.extension().string(), first_bytes);
  if (form == nullptr) return;
  throw_<DataError>("[{}] the file is {}, expected plain text or JSON. {}", file.string(),
                    form->name, conversion_of(*form, file.string()));
}

std::string not_utf8(std::string_view place, int64_t line, char byte, size_t offset) {
  const bool is_in_brackets = place.ends_with(']');
  const std::string where =
      is_in_brackets ? fmt::format("{}: line {}] ", place.substr(0, place.size() - 1), line)
                     : fmt::format("{}: line {}: ", place, line);
  return fmt::format(
      "{}not UTF-8: got the byte 0x{:02X} at offset {}, expected UTF-8. Convert the file, for "
      "example with iconv.",
      where, static_cast<unsigned char>(byte), offset);
}

std::string read_text(const fs::path& file) {
  std::string text = read_text_file(file);
  refuse_other_forms(file, text);
  if (const auto offset = first_invalid_utf8(text)) {
    throw DataError(not_utf8(fmt::format("[{}]", file.string()), line_at(text, *offset),
                             text[*offset], *offset));
  }
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  unify_line_ends(text);
  return text;
}

void trim_line(std::string& line, bool is_first) {
  if (is_first && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (line.ends_with('\r')) line.pop_back();
}

FilePieces::FilePieces(fs::path file) : file_(std::move(file)), stream_(open_file(file_)) {
  std::error_code error;
  const auto size = fs::file_size(file_, error);
  size_ = error ? 0 : static_cast<int64_t>(size);
}

bool FilePieces::append_to(std::string& buffer) {
  const size_t before = buffer.size();
  buffer.resize(before + kPieceBytes);
  stream_.read(buffer.data() + before, static_cast<std::streamsize>(kPieceBytes));
  buffer.resize(before + static_cast<size_t>(stream_.gcount()));
  if (stream_.bad()) throw_<DataError>("[read] {}: cannot be read to its end.", file_.string());
  const bool has_more = buffer.size() > before;
  if (std::exchange(is_at_start_, false)) {
    const std::string_view first = std::string_view(buffer).substr(before);
    refuse_other_forms(file_, first);
    if (first.starts_with(kByteOrderMark)) {
      buffer.erase(before, kByteOrderMark.size());
      num_skipped_ = kByteOrderMark.size();
    }
  }
  return has_more;
}

LineReader::LineReader(fs::path file) : pieces_(std::move(file)) { fill(); }

// Appends a piece of the file to the buffer; false at its end.
bool LineReader::fill() {
  buffer_.erase(0, std::exchange(begin_, 0));
  if (buffer_.size() > kMaxLineMebibytes << 20) {
    throw_<DataError>(
        "[{}: line {}] got a line of more than {} MiB, expected a text a line. Is it a text file?",
        pieces_.path().string(), line_number_ + 1, kMaxLineMebibytes);
  }
  is_complete_ = !pieces_.append_to(buffer_);
  if (line_number_ == 0) bytes_read_ = static_cast<int64_t>(pieces_.num_skipped());
  return !is_complete_;
}

// The line's end in the buffer: where it begins and, for "\r\n", which takes two bytes, all of it.
size_t LineReader::find_end() {
  size_t searched = begin_;
  while (true) {
    const size_t end = buffer_.find_first_of("\r\n", searched);
    const bool is_cut = end != std::string::npos && buffer_[end] == '\r' &&
                        end + 1 == buffer_.size() && !is_complete_;
    if (end != std::string::npos && !is_cut) return end;
    // Where the search goes on once the buffer is filled.
    searched = (is_cut ? end : buffer_.size()) - begin_;
    if (!fill()) return buffer_.find_first_of("\r\n", searched);
  }
}

std::optional<std::string_view> LineReader::next() {
  size_t end = find_end();
  if (end == std::string::npos) {
    if (begin_ == buffer_.size()) return std::nullopt;
    end = buffer_.size();  // the last line has no end
  }
  const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
  const bool has_two_bytes = std::string_view(buffer_).substr(end).starts_with("\r\n");
  const int64_t offset = bytes_read_;
  const size_t next_begin = std::min(end + (has_two_bytes ? 2 : 1), buffer_.size());
  bytes_read_ += static_cast<int64_t>(next_begin - begin_);
  begin_ = next_begin;
  ++line_number_;
  if (const auto bad = first_invalid_utf8(line)) {
    throw DataError(not_utf8(fmt::format("[{}]", pieces_.path().string()), line_number_, line[*bad],
                             static_cast<size_t>(offset) + *bad));
  }
  return line;
}

}  // namespace cpx
