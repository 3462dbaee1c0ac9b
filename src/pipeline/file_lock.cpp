// SPDX-License-Identifier: Apache-2.0
#include "file_lock.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cpx/core/error.h"

namespace cpx::pipeline {

FileLock::FileLock(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) {
    throw_<DataError>("[write] {}: cannot be written: {}. Choose another output.", path.string(),
                      system_error_text(errno));
  }
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd_);
    throw_<DataError>(
        "[{}] is in use: another process writes it. Wait for that one, or choose another output.",
        path.string());
  }
}

FileLock::~FileLock() { close(fd_); }

}  // namespace cpx::pipeline
