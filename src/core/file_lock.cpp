// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/file_lock.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpx/core/error.h"

namespace cpx {

namespace fs = std::filesystem;

namespace {

std::string lock_host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

// What the holder wrote: its process, and its machine where that is another one.
std::string holder(const fs::path& lock_file) {
  std::ifstream file(lock_file);
  long process = 0;
  std::string host;
  if (!(file >> process >> host)) return "another process";
  if (host == lock_host_name()) return fmt::format("process {}", process);
  return fmt::format("process {} on {}", process, host);
}

// False where the file was removed or replaced between its opening and its lock.
bool is_still_there(int fd, const fs::path& path) {
  struct stat opened {};
  struct stat there {};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

}  // namespace

int open_locked(const fs::path& path) {
  constexpr int kTries = 100;  // each in vain only where another process ends just then
  for (int i = 0; i < kTries; ++i) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      close(fd);
      return kIsLocked;
    }
    if (is_still_there(fd, path)) return fd;
    close(fd);
  }
  errno = EAGAIN;
  return -1;
}

FileLock::FileLock(fs::path lock_file, std::string_view where, const fs::path& output)
    : lock_file_(std::move(lock_file)), fd_(open_locked(lock_file_)) {
  if (fd_ == kIsLocked) {
    throw_<DataError>(
        "[{}] '{}' is in use: {} writes it. Wait for that one, or choose another output.", where,
        output.string(), holder(lock_file_));
  }
  if (fd_ < 0) {
    throw_<DataError>("[{}] '{}' cannot be written: {}. Choose another output.", where,
                      output.string(), system_error_text(errno));
  }
  const std::string text = fmt::format("{} {}\n", getpid(), lock_host_name());
  // The lock holds without its text, on a full disk for instance.
  if (ftruncate(fd_, 0) == 0) (void)!::write(fd_, text.data(), text.size());
}

FileLock::~FileLock() {
  ::unlink(lock_file_.c_str());  // while it is held: the next one makes its own
  close(fd_);
}

}  // namespace cpx
