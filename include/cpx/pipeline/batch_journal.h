// SPDX-License-Identifier: Apache-2.0
// A journal of work in progress beside an output, one batch at a time: a killed run continues after
// its last complete batch.
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

/// Batches of lines after one line of settings, locked for this process.
class BatchJournal {
 public:
  /// The paths of a journal and its lock, and the name of the output and of its flag in messages.
  struct Place {
    std::filesystem::path journal = {};
    std::filesystem::path lock = {};
    std::filesystem::path output = {};
    std::string flag = "--output";
  };

  /// Begins the journal, or continues an existing one after removing an incomplete last batch.
  /// Throws DataError if it was begun with other settings (unless `overwrite`, which begins anew),
  /// is not a journal, is in use, or cannot be written.
  BatchJournal(Place place, std::span<const Setting> settings, bool overwrite);

  /// Removes a journal without a batch.
  ~BatchJournal();
  BatchJournal(const BatchJournal&) = delete;
  BatchJournal& operator=(const BatchJournal&) = delete;

  /// Number of lines in complete batches.
  int64_t num_lines() const { return num_lines_; }

  /// Adds a batch of non-empty lines without line breaks. They survive this process. After a
  /// DataError the journal is unchanged.
  void add(std::span<const std::string> lines);

  /// Calls `take` with all lines in order.
  void read(const std::function<void(std::string_view line)>& take) const;

  /// Removes the journal; call it when the output is complete.
  void remove();

 private:
  void begin(const std::string& header);
  void resume(const std::string& header, bool overwrite);

  Place place_;
  std::optional<FileLock> lock_;
  std::optional<OutputFile> file_;
  uint64_t num_bytes_ = 0;  // in complete batches
  int64_t num_lines_ = 0;
};

}  // namespace cpx::pipeline
