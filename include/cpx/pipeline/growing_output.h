// SPDX-License-Identifier: Apache-2.0
// A JSONL output that grows while it is made, a prompt's lines at a time, and goes on where it was
// stopped.
//
//   <output>            the lines, prompts in their order
//   <output>.meta  settings and prompts that the lines were made with
//   <output>.lock       while a process writes
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

/// Lines of prompts, as many for each. What is no plain file (standard output, a device) is written
/// into, and never gone on with.
class GrowingOutput {
 public:
  /// Looks at what stands there and changes nothing. Lines of an output that was made with the same
  /// settings and prompts stay, but for a last prompt that is not whole. Throws DataError where it
  /// was made with others (the first difference is named) unless `overwrite`, where its lines are
  /// not those of the prompts, and where another process writes it. A file without a meta file is
  /// not gone on with: it is replaced by the first lines.
  GrowingOutput(std::filesystem::path output, std::vector<std::string> prompts,
                std::span<const Setting> settings, int64_t lines_per_prompt, bool overwrite);

  int64_t num_prompts() const { return static_cast<int64_t>(prompts_.size()); }
  /// The first prompts, whose lines are all there.
  int64_t num_done() const { return num_done_; }

  /// Appends the lines of the next prompt, each with its line break; they survive this process.
  void add(const std::string& lines);
  /// Waits for the disk.
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
