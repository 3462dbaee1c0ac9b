// SPDX-License-Identifier: Apache-2.0
// A JSONL output that is written one prompt at a time, and that a stopped run continues.
//
//   <output>            the lines, in the order of the prompts
//   <output>.meta       settings and prompts of the lines
//   <output>.lock       exists while a process writes
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/file_lock.h"
#include "cpx/core/output_file.h"
#include "cpx/pipeline/shard_journal.h"

namespace cpx::pipeline {

/// The output lines of a list of prompts, the same number for each. An output that is not a plain
/// file (standard output, a device) is written from the start and never continued.
class GrowingOutput {
 public:
  /// Inspects an existing output and changes nothing. Its lines stay if they were made with the
  /// same settings and prompts, except those of an incomplete last prompt. Throws DataError if
  /// settings or prompts differ (the message names the first difference) unless `overwrite` is set,
  /// if the lines are not those of the prompts, and if another process writes the output. A file
  /// without a meta file is not continued: the first new lines replace it.
  GrowingOutput(std::filesystem::path output, std::vector<std::string> prompts,
                std::span<const Setting> settings, int64_t lines_per_prompt, bool overwrite);

  int64_t num_prompts() const { return static_cast<int64_t>(prompts_.size()); }
  /// Number of prompts, from the first on, whose lines are all written.
  int64_t num_done() const { return num_done_; }

  /// Appends the lines of the next prompt, each with its line break. They survive this process.
  void add(const std::string& lines);
  /// Waits until the data is on disk.
  void finish();

 private:
  void resume(bool overwrite);
  int64_t count_done(const std::string& content, size_t& num_bytes) const;
  void begin();

  std::filesystem::path output_;
  std::filesystem::path meta_;
  std::vector<std::string> prompts_;
  std::string provenance_;  // settings and prompts, JSON
  int64_t lines_per_prompt_;
  int64_t num_done_ = 0;
  std::optional<FileLock> lock_;
  std::unique_ptr<OutputFile> file_;  // none before the first lines
};

}  // namespace cpx::pipeline
