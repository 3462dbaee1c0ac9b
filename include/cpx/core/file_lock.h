// SPDX-License-Identifier: Apache-2.0
// One process at a time writes an output that goes on.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx {

/// What open_locked() returns where another process holds the file.
inline constexpr int kIsLocked = -2;

/// Opens a file for reading and writing, made where there is none, and locks it (flock) until the
/// descriptor is closed. Returns the descriptor, kIsLocked, or -1 with errno. On file systems that
/// have no locks it is opened alone.
int open_locked(const std::filesystem::path& path);

/// Holds an output for this object alone: a lock file beside or in it, which names the process and
/// is removed at the end. A process that is killed leaves the file, but not the lock.
class FileLock {
 public:
  /// `output` is what messages call it. Throws DataError, opened by [where], when another one holds
  /// it, and when the lock file cannot be made.
  FileLock(std::filesystem::path lock_file, std::string_view where,
           const std::filesystem::path& output);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::filesystem::path lock_file_;
  int fd_;
};

}  // namespace cpx
