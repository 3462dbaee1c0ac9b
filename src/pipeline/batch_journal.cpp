// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/batch_journal.h"

#include <fstream>
#include <system_error>
#include <utility>

#include "cpx/core/error.h"
#include "shard_record.h"

namespace cpx::pipeline {

namespace fs = std::filesystem;

namespace {

// How every such journal begins; a file that begins otherwise is somebody else's.
constexpr std::string_view kBatchJournalStart = R"({"cpx_batch_journal":1,)";

std::string header_of(std::span<const Setting> settings) {
  const std::string provenance = json_text(provenance_json(settings, {}));
  return fmt::format("{}{}\n", kBatchJournalStart, provenance.substr(1));
}

void cut_journal(const fs::path& path, uint64_t num_bytes) {
  std::error_code error;
  fs::resize_file(path, num_bytes, error);
  if (error) {
    throw_<DataError>("[write] {}: cannot be cut to its whole batches: {}.", path.string(),
                      error.message());
  }
}

// Calls `take` with each line and where it ends; a last one without a line break is left out.
void read_whole_lines(const fs::path& path,
                      const std::function<void(std::string_view, uint64_t end)>& take) {
  std::ifstream file(path, std::ios::binary);
  uint64_t end = 0;
  for (std::string line; std::getline(file, line);) {
    if (file.eof()) return;
    end += line.size() + 1;
    take(line, end);
  }
}

// True too for one that was cut in its first bytes.
bool is_batch_journal(const fs::path& path) {
  std::string start(kBatchJournalStart.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), std::ssize(start));
  start.resize(static_cast<size_t>(file.gcount()));
  return kBatchJournalStart.starts_with(start);
}

}  // namespace

BatchJournal::BatchJournal(Place place, std::span<const Setting> settings, bool overwrite)
    : place_(std::move(place)) {
  lock_.emplace(place_.lock, place_.flag, place_.output);
  const std::string header = header_of(settings);
  std::error_code error;
  if (!fs::exists(place_.journal, error) || fs::file_size(place_.journal, error) == 0) {
    begin(header);
  } else {
    resume(header, overwrite);
  }
}

// Settings alone are nothing to go on with, and would stand in the way of others.
BatchJournal::~BatchJournal() {
  if (!file_ || num_lines_ > 0) return;
  file_.reset();
  std::error_code ignored;
  fs::remove(place_.journal, ignored);
}

void BatchJournal::begin(const std::string& header) {
  num_lines_ = 0;
  file_.emplace(place_.journal);
  try {
    file_->write(header);
    file_->flush();
  } catch (const DataError&) {
    std::error_code ignored;
    fs::remove(place_.journal, ignored);
    throw;
  }
  num_bytes_ = header.size();
}

void BatchJournal::resume(const std::string& header, bool overwrite) {
  std::optional<std::string> first;
  int64_t num_read = 0;  // lines of the batch so far
  read_whole_lines(place_.journal, [&](std::string_view line, uint64_t end) {
    const bool is_header = !first;
    if (is_header) {
      first = line;
    } else if (!line.empty()) {
      ++num_read;
      return;
    }
    num_bytes_ = end;
    num_lines_ += num_read;
    num_read = 0;
  });
  if (!is_batch_journal(place_.journal)) {
    throw_<DataError>("[{}] is no journal of cpx: it begins with other bytes. Move the file away.",
                      place_.journal.string());
  }
  if (!first) return begin(header);
  const Json before = Json::parse(*first, nullptr, /*allow_exceptions=*/false);
  if (const auto what = difference(before, Json::parse(header))) {
    if (overwrite) return begin(header);
    throw_<DataError>(
        "[{}] was begun with other settings: {}. Give those to go on, or --overwrite to begin "
        "anew.",
        place_.journal.string(), *what);
  }
  cut_journal(place_.journal, num_bytes_);
  file_.emplace(place_.journal, OutputFile::Mode::kAppend);
}

void BatchJournal::add(std::span<const std::string> lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  text += "\n";  // the batch is whole
  try {
    file_->write(text);
    file_->flush();
  } catch (const DataError&) {
    cut_journal(place_.journal, num_bytes_);
    throw;
  }
  num_bytes_ += text.size();
  num_lines_ += static_cast<int64_t>(lines.size());
}

void BatchJournal::read(const std::function<void(std::string_view)>& take) const {
  bool is_header = true;
  read_whole_lines(place_.journal, [&](std::string_view line, uint64_t) {
    if (!std::exchange(is_header, false) && !line.empty()) take(line);
  });
}

void BatchJournal::remove() {
  file_.reset();
  std::error_code error;
  fs::remove(place_.journal, error);
  if (error) {
    throw_<DataError>("[write] {}: cannot be removed: {}.", place_.journal.string(),
                      error.message());
  }
}

}  // namespace cpx::pipeline
