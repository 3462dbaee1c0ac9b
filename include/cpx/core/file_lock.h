// SPDX-License-Identifier: Apache-2.0
// A lock for outputs that a later run continues: one process at a time writes them.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx {

/// Returned by open_locked() when another process has the lock.
inline constexpr int kIsLocked = -2;

/// Opens a file for reading and writing, creates it if it is missing, and locks it (flock) until
/// the descriptor is closed. Returns the descriptor, kIsLocked, or -1 with errno set. On a file
/// system without locks the file is opened without one.
int open_locked(const std::filesystem::path& path);

/// Reserves an output for this process while the object lives. The lock file stands beside or
/// inside the output, names the process, and is removed at the end. A killed process leaves the
/// file behind but not the lock.
class FileLock {
 public:
  /// `output` is the name used in messages. Throws DataError, with [where] in front, when another
  /// process has the lock and when the lock file cannot be created.
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
