// SPDX-License-Identifier: Apache-2.0
// Work in progress that is finished a batch at a time: a journal beside an output, so that a run
// that was killed goes on behind its last whole batch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cpx/core/file_lock.h"
#include "cpx/core/output_file.h"
#include "cpx/pipeline/shard_journal.h"

namespace cpx::pipeline {

/// Lines in batches, behind a line of settings. Held for this process alone.
class BatchJournal {
 public:
  /// Where a journal and its lock lie, and what messages call the output.
  struct Place {
    std::filesystem::path journal = {};
    std::filesystem::path lock = {};
    std::filesystem::path output = {};
  };

  /// Begins the journal, or goes on with the one there, of which a batch that is not whole is cut
  /// off. Throws DataError where it was begun with other settings (unless `overwrite`, which begins
  /// anew), is no journal, is in use, or cannot be written.
  BatchJournal(Place place, std::span<const Setting> settings, bool overwrite);

  /// A journal without a batch is removed.
  ~BatchJournal();
  BatchJournal(const BatchJournal&) = delete;
  BatchJournal& operator=(const BatchJournal&) = delete;

  /// Lines of the whole batches.
  int64_t num_lines() const { return num_lines_; }

  /// Adds a batch of lines, none of them empty, without line breaks. They survive this process. On
  /// a DataError the journal is as it was before.
  void add(std::span<const std::string> lines);

  /// Reads all lines in their order.
  void read(const std::function<void(std::string_view line)>& take) const;

  /// Removes the journal: its output is in place.
  void remove();

 private:
  void begin(const std::string& header);
  void resume(const std::string& header, bool overwrite);

  Place place_;
  std::optional<FileLock> lock_;
  std::optional<OutputFile> file_;
  uint64_t num_bytes_ = 0;  // of the whole batches
  int64_t num_lines_ = 0;
};

}  // namespace cpx::pipeline
