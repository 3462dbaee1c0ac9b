// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/shard_journal.h"

#include <algorithm>
#include <fstream>

#include "cpx/core/error.h"
#include "cpx/core/file_lock.h"
#include "shard_record.h"

namespace cpx::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr const char* kJournalSuffix = ".journal";
constexpr const char* kMetaSuffix = ".meta";
constexpr const char* kLockSuffix = ".lock";
// How every journal begins; a file that begins otherwise is somebody else's.
constexpr std::string_view kJournalStart = R"({"cpx_shard_journal":1,)";

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// A rename must not replace a device or a folder, nor may one be read as a journal.
void check_is_file_or_nothing(const fs::path& path) {
  std::error_code error;
  if (!is_there(path) || fs::is_regular_file(path, error)) return;
  throw_<DataError>("[{}] is {}, expected a file or nothing there. Choose another output.",
                    path.string(), fs::is_directory(path, error) ? "a folder" : "no regular file");
}

void check_ending(const fs::path& output) {
  const fs::path ending = output.extension();
  if (ending == ".json" || ending == ".jsonl") return;
  throw_<DataError>(
      "[{}] the name's ending tells the format: got '{}', expected .json (a list) or .jsonl (a "
      "record a line).",
      output.string(), ending.string());
}

// What differs between the output that is there and the one to be made, or nothing.
std::optional<std::string> difference_of_output(const fs::path& meta, const Json& provenance) {
  if (!is_there(meta)) return meta.filename().string() + " does not exist, which told its settings";
  const Json before = Json::parse(read_text_file(meta), nullptr, /*allow_exceptions=*/false);
  return difference(before, provenance);
}

std::string_view next_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

void cut(const fs::path& path, uint64_t num_bytes) {
  std::error_code error;
  fs::resize_file(path, num_bytes, error);
  if (error) {
    throw_<DataError>("[write] {}: cannot be cut to its whole lines: {}.", path.string(),
                      error.message());
  }
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) {
    throw_<DataError>("[write] {}: cannot be removed: {}.", path.string(), error.message());
  }
}

// The first line of the journal, or the meta file: both hold the settings.
Json recorded_provenance(const fs::path& output) {
  std::string text;
  if (std::ifstream journal(with_suffix(output, kJournalSuffix)); journal) {
    std::getline(journal, text);
  } else if (const fs::path meta = with_suffix(output, kMetaSuffix); is_there(meta)) {
    text = read_text_file(meta);
  }
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

}  // namespace

std::optional<std::string> recorded_setting(const fs::path& output, const std::string& name) {
  const Json provenance = recorded_provenance(output);
  const Json::json_pointer place("/settings/" + name);
  if (!provenance.is_object() || !provenance.contains(place)) return std::nullopt;
  const Json& value = provenance.at(place);
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

ShardJournal::ShardJournal(fs::path output, std::vector<data::Input> inputs,
                           std::span<const Setting> settings, bool overwrite)
    : output_(std::move(output)),
      meta_(with_suffix(output_, kMetaSuffix)),
      journal_(with_suffix(output_, kJournalSuffix)),
      inputs_(std::move(inputs)),
      finished_(inputs_.size()) {
  check_ending(output_);
  for (const fs::path& path : {output_, meta_, journal_}) check_is_file_or_nothing(path);
  provenance_ = json_text(provenance_json(settings, inputs_));
  if (is_made_before(overwrite)) return;
  auto lock = std::make_unique<FileLock>(with_suffix(output_, kLockSuffix), "--output", output_);
  // Another process may have finished in between.
  if (is_made_before(overwrite)) return;
  lock_ = std::move(lock);
  resume(is_there(journal_) ? read_text_file(journal_) : std::string(), overwrite);
}

// Throws where the output that is there was made in another way.
bool ShardJournal::is_made_before(bool overwrite) {
  if (is_there(journal_) || !is_there(output_) || overwrite) return false;
  if (const auto what = difference_of_output(meta_, Json::parse(provenance_))) {
    throw_<DataError>("[{}] is there already: {}. Choose another output, or give --overwrite.",
                      output_.string(), *what);
  }
  is_complete_ = true;
  num_done_ = static_cast<int64_t>(inputs_.size());
  return true;
}

// Settings alone are nothing to go on with, and would stand in the way of others.
ShardJournal::~ShardJournal() {
  if (!file_ || num_done_ > 0) return;
  file_.reset();
  std::error_code ignored;
  fs::remove(journal_, ignored);
}

void ShardJournal::begin() {
  file_ = std::make_unique<OutputFile>(journal_);
  const std::string header = fmt::format("{}{}\n", kJournalStart, provenance_.substr(1));
  try {
    file_->write(header);
    file_->flush();
  } catch (const DataError&) {
    std::error_code ignored;
    fs::remove(journal_, ignored);
    throw;
  }
  num_bytes_ = header.size();
}

void ShardJournal::resume(const std::string& content, bool overwrite) {
  const bool is_journal = content.starts_with(kJournalStart) || kJournalStart.starts_with(content);
  if (!is_journal) {
    throw_<DataError>("[{}] is no journal of cpx: it begins with other bytes. Move the file away.",
                      journal_.string());
  }
  const size_t num_whole_bytes = content.rfind('\n') + 1;  // 0 where there is no whole line
  if (num_whole_bytes == 0) return begin();
  std::string_view rest = std::string_view(content).substr(0, num_whole_bytes);
  const Json header = Json::parse(next_line(rest), nullptr, /*allow_exceptions=*/false);
  if (const auto what = difference(header, Json::parse(provenance_))) {
    if (overwrite) return begin();
    throw_<DataError>(
        "[{}] was begun with other settings: {}. Give those to go on, or --overwrite to begin "
        "anew.",
        journal_.string(), *what);
  }
  for (int64_t number = 2; !rest.empty(); ++number) read_finished(next_line(rest), number);
  if (num_whole_bytes < content.size()) cut(journal_, num_whole_bytes);
  num_bytes_ = num_whole_bytes;
  file_ = std::make_unique<OutputFile>(journal_, OutputFile::Mode::kAppend);
}

void ShardJournal::read_finished(std::string_view line, int64_t number) {
  const auto finished = parse_finished(line);
  const auto num_inputs = static_cast<int64_t>(inputs_.size());
  const bool is_good =
      finished && finished->index >= 0 && finished->index < num_inputs && !is_done(finished->index);
  if (!is_good) {
    throw_<DataError>(
        "[{}: line {}] is damaged, expected a finished input of {}, each once. Remove the line to "
        "have its input made again.",
        journal_.string(), number, num_inputs);
  }
  finished_[static_cast<size_t>(finished->index)] = line;
  ++num_done_;
}

void ShardJournal::add(int64_t index, const Paraphrases& made) {
  CPX_CHECK(index >= 0 && index < static_cast<int64_t>(inputs_.size()),
            "[shard_journal] input {} of {}.", index, inputs_.size());
  CPX_CHECK(!is_done(index), "[shard_journal] input {} is done already.", index);
  const data::Input& input = inputs_[static_cast<size_t>(index)];
  std::string line = finished_line(make_finished(index, input, made));
  try {
    file_->write(line + "\n");
    file_->flush();
  } catch (const DataError&) {
    cut(journal_, num_bytes_);
    throw;
  }
  num_bytes_ += line.size() + 1;
  finished_[static_cast<size_t>(index)] = std::move(line);
  ++num_done_;
}

ShardSummary ShardJournal::finish() {
  CPX_CHECK(!is_complete_, "[shard_journal] {} was finished before.", output_.string());
  CPX_CHECK(num_done_ == static_cast<int64_t>(inputs_.size()),
            "[shard_journal] {} of {} inputs are done, expected all.", num_done_, inputs_.size());
  std::vector<FinishedInput> finished;
  for (const std::string& line : finished_) finished.push_back(parse_finished(line).value());
  ShardSummary summary = summarize(finished, inputs_);
  if (summary.num_records == 0) {
    throw_<DataError>("[{}] got no record from {} inputs, expected one or more. First: {}",
                      output_.string(), inputs_.size(),
                      summary.left_out.empty() ? "there is no input" : summary.left_out.front());
  }
  write_file_atomically(output_, shard_text(finished, output_.extension() == ".jsonl"));
  write_file_atomically(meta_, meta_text(Json::parse(provenance_), summary));
  file_.reset();
  remove_file(journal_);
  is_complete_ = true;
  return summary;
}

}  // namespace cpx::pipeline
