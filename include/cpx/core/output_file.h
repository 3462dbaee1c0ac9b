// SPDX-License-Identifier: Apache-2.0
// Writes files and folders without ever losing the old ones: every write is checked, and a new file
// or folder is written aside, synced, and moved to its path by one rename. Links are followed, a
// replaced file passes on its mode (and its owner where possible), and a path that is not a plain
// file (a device, a FIFO) is written into.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cpx/core/output_target.h"

namespace cpx {

/// A file being written. Errors throw DataError with the path, the reason given by the system, and
/// the free space. The destructor closes the file without syncing it.
class OutputFile {
 public:
  enum class Mode { kTruncate, kAppend };

  explicit OutputFile(std::filesystem::path path, Mode mode = Mode::kTruncate);
  /// Takes ownership of an open descriptor; `path` is the name used in messages.
  OutputFile(std::filesystem::path path, int descriptor);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Passes the buffered bytes to the system: they survive a crash of this process, but not a power
  /// cut.
  void flush();
  /// Flushes and waits until the data is on disk (fsync, where there is one).
  void sync();
  /// sync(), then closes.
  void sync_and_close();

  const std::filesystem::path& path() const { return path_; }

 private:
  [[noreturn]] void fail(int code) const;

  std::filesystem::path path_;
  std::string buffer_;
  int fd_ = -1;
};

/// The whole content of a text file; throws DataError when it cannot be read.
std::string read_text_file(const std::filesystem::path& path);

/// Replaces `path` by `content`, as AtomicFile does.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Writes a file in pieces that appears only when it is complete: pieces go to staging_file(), and
/// commit() syncs it and renames it to the target. Without commit() the destructor removes what was
/// written. If the target is a stream ("-", a device, a FIFO), the pieces are written into it
/// directly.
class AtomicFile {
 public:
  /// Throws DataError if the file cannot be created or another process is writing it.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view text) { file_->write(text); }
  /// If the rename fails, the staging file stays, and the message names it.
  void commit();

 private:
  OutputTarget target_;
  std::optional<OutputFile> file_;  // none once it is committed
};

/// Writes a folder that appears only when it is complete: files go to staging(), and commit() syncs
/// them and moves the folder to the target (by one exchanging rename if the target exists). Files
/// of the old folder are removed if the new folder has one of the same name, otherwise they move
/// into the new folder. Without commit() the destructor removes the staging folder.
class AtomicFolder {
 public:
  explicit AtomicFolder(const std::filesystem::path& target);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& staging() const { return staging_; }
  void commit();

 private:
  static void keep_foreign(const std::filesystem::path& old, const std::filesystem::path& current);

  std::filesystem::path target_;
  std::filesystem::path staging_;
  bool is_committed_ = false;
};

}  // namespace cpx
