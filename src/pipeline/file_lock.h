// SPDX-License-Identifier: Apache-2.0
// One process at a time writes a file.
#pragma once

#include <filesystem>

namespace cpx::pipeline {

/// Holds a file, made where there is none, for this object alone until it ends (flock; without
/// effect on file systems that have none). Throws DataError when another one holds it, and when
/// it cannot be opened.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace cpx::pipeline
