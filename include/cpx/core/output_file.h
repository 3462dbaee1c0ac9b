// SPDX-License-Identifier: Apache-2.0
// Writing that never loses what was there: every write is checked, files and folders are made
// aside, synced and put in place by one rename. Links are followed, a file that is replaced hands
// its mode (and where possible its owner) on, and what is no plain file is written into.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cpx/core/output_target.h"

namespace cpx {

/// A file being written. Errors throw DataError with the path, the system's reason and the free
/// space. Not closed by sync_and_close(): closed without syncing by the destructor.
class OutputFile {
 public:
  enum class Mode { kTruncate, kAppend };

  explicit OutputFile(std::filesystem::path path, Mode mode = Mode::kTruncate);
  /// Takes over an open descriptor; `path` is what messages call it.
  OutputFile(std::filesystem::path path, int descriptor);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Hands buffered bytes to the system; they survive this process, not a power cut.
  void flush();
  /// Flushes and waits for the disk (fsync, where there is one).
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

/// Replaces `path` by `content`, as AtomicFile does it.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// A file that comes into being as a whole, in pieces: written aside (staging_file()), commit()
/// syncs it and puts it in the target's place by one rename. Without commit() the destructor
/// removes what was written. A target that is a stream ("-", a device, a FIFO) is written into as
/// the pieces come.
class AtomicFile {
 public:
  /// Throws DataError where the file cannot be made, or another process is writing it.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view text) { file_->write(text); }
  /// Where the rename fails, what was written stays aside, and the message says where.
  void commit();

 private:
  OutputTarget target_;
  std::optional<OutputFile> file_;  // none once it is committed
};

/// A folder that comes into being as a whole: files go to staging(), commit() syncs them and puts
/// the folder in the target's place (by one exchanging rename where the target exists). Of what
/// stood there, entries that the new folder has too are removed, others move into it. Without
/// commit() the staging folder is removed by the destructor.
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
