// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/growing_output.h"

#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/output_target.h"
#include "shard_record.h"

namespace cpx::pipeline {

namespace fs = std::filesystem;

namespace {

fs::path beside(const fs::path& output, const char* suffix) {
  fs::path path = output;
  path += suffix;
  return path;
}

std::vector<data::Input> inputs_of(const std::vector<std::string>& prompts) {
  std::vector<data::Input> inputs;
  for (const std::string& prompt : prompts) inputs.push_back({.text = prompt});
  return inputs;
}

bool is_line_of(const std::string& prompt, std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto found = json.is_object() ? json.find("prompt") : json.end();
  return json.is_object() && found != json.end() && found->is_string() &&
         json_text(*found) == json_text(prompt);
}

}  // namespace

GrowingOutput::GrowingOutput(fs::path output, std::vector<std::string> prompts,
                             std::span<const Setting> settings, int64_t lines_per_prompt,
                             bool overwrite)
    : output_(std::move(output)),
      meta_(beside(output_, ".meta")),
      prompts_(std::move(prompts)),
      provenance_(json_text(provenance_json(settings, inputs_of(prompts_)), 2) + "\n"),
      lines_per_prompt_(lines_per_prompt) {
  const OutputTarget target = find_output(output_);
  if (target.is_stream()) {
    const int fd = target.descriptor >= 0 ? fcntl(target.descriptor, F_DUPFD_CLOEXEC, 0)
                                          : ::open(target.path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      throw_<DataError>("[write] {}: cannot be written: {}.", output_.string(),
                        system_error_text(errno));
    }
    file_ = std::make_unique<OutputFile>(output_, fd);
    return;
  }
  lock_.emplace(beside(output_, ".lock"), "--output", output_);
  resume(overwrite);
}

void GrowingOutput::resume(bool overwrite) {
  std::error_code error;
  if (overwrite || !fs::exists(output_, error) || !fs::exists(meta_, error)) return;
  const Json before = Json::parse(read_text_file(meta_), nullptr, /*allow_exceptions=*/false);
  if (const auto what = difference(before, Json::parse(provenance_))) {
    throw_<DataError>(
        "[{}] was made with other settings: {}. Give those to go on, choose another output, or "
        "give --overwrite.",
        output_.string(), *what);
  }
  size_t num_bytes = 0;
  const std::string content = read_text_file(output_);
  num_done_ = count_done(content, num_bytes);
  if (num_bytes == content.size()) return;
  fs::resize_file(output_, num_bytes, error);
  if (error) {
    throw_<DataError>("[write] {}: cannot be cut to its whole prompts: {}.", output_.string(),
                      error.message());
  }
}

// Prompts whose lines are all there; `num_bytes` is where they end.
int64_t GrowingOutput::count_done(const std::string& content, size_t& num_bytes) const {
  int64_t num_lines = 0;
  size_t begin = 0;
  for (size_t end = content.find('\n'); end != std::string::npos; end = content.find('\n', begin)) {
    const auto prompt = static_cast<size_t>(num_lines / lines_per_prompt_);
    const std::string_view line = std::string_view(content).substr(begin, end - begin);
    if (prompt >= prompts_.size() || !is_line_of(prompts_[prompt], line)) {
      throw_<DataError>(
          "[{}: line {}] is not of prompt {}, as cpx would have written it. Choose "
          "another output, or give --overwrite.",
          output_.string(), num_lines + 1, prompt + 1);
    }
    begin = end + 1;
    if (++num_lines % lines_per_prompt_ == 0) num_bytes = begin;
  }
  return num_lines / lines_per_prompt_;
}

void GrowingOutput::begin() {
  const bool is_new = num_done_ == 0;
  // Emptied before the meta file tells what it holds.
  file_ = std::make_unique<OutputFile>(
      output_, is_new ? OutputFile::Mode::kTruncate : OutputFile::Mode::kAppend);
  if (is_new) write_file_atomically(meta_, provenance_);
}

void GrowingOutput::add(const std::string& lines) {
  CPX_CHECK(num_done_ < num_prompts(), "[growing_output] all {} prompts are done.", num_prompts());
  if (!file_) begin();
  file_->write(lines);
  file_->flush();
  ++num_done_;
}

void GrowingOutput::finish() {
  if (file_) file_->sync_and_close();
  file_.reset();
}

}  // namespace cpx::pipeline
