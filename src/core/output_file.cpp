// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_file.h"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <stdio.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/core/file_lock.h"
#include "cpx/core/standard_output.h"

namespace cpx {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

fs::path parent_or_here(const fs::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

std::string free_space_text(const fs::path& path) {
  std::error_code error;
  const auto space = fs::space(parent_or_here(path), error);
  if (error) return "unknown free space";
  return fmt::format("{} MiB free there", space.available >> 20);
}

[[noreturn]] void fail_write(const fs::path& path, int code) {
  throw_<DataError>(
      "[write] {}: cannot be written: {} ({}). What was there before is untouched; free space or "
      "choose another folder.",
      path.string(), system_error_text(code), free_space_text(path));
}

void sync_path(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) fail_write(path, errno);
  const int result = fsync(fd);
  const int code = errno;
  close(fd);
  if (result != 0) fail_write(path, code);
}

void sync_folder(const fs::path& path) { sync_path(path, O_RDONLY | O_DIRECTORY); }

}  // namespace

OutputFile::OutputFile(fs::path path, Mode mode) : path_(std::move(path)) {
  const int flags = mode == Mode::kTruncate ? O_TRUNC : O_APPEND;
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (fd_ < 0) fail(errno);
}

OutputFile::OutputFile(fs::path path, int descriptor) : path_(std::move(path)), fd_(descriptor) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  try {
    flush();
  } catch (const DataError&) {
    // A destructor must not throw; whoever needs the bytes calls sync_and_close().
  }
  close(fd_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void OutputFile::write(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= kBufferBytes) flush();
}

void OutputFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      const int code = errno;
      buffer_.clear();
      fail(code);
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  buffer_.clear();
}

void OutputFile::sync() {
  flush();
  // Devices, pipes and terminals have nothing to be synced.
  if (fsync(fd_) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) fail(errno);
}

void OutputFile::sync_and_close() {
  sync();
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) != 0) fail(errno);
}

void OutputFile::fail(int code) const {
  if (is_standard_output(path_)) throw_standard_output_error(code);
  if (!find_output(path_).is_stream()) fail_write(path_, code);
  throw_<DataError>("[write] {}: cannot be written: {}. What was written there is incomplete.",
                    path_.string(), system_error_text(code));
}

std::string read_text_file(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    throw_<DataError>("[read] {}: is a folder, expected a file.", path.string());
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (file && file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
  if (!file && !file.eof()) {
    throw_<DataError>("[read] {}: cannot be read: {}.", path.string(),
                      system_error_text(errno == 0 ? EIO : errno));
  }
  return std::move(content).str();
}

namespace {

int open_stream(const OutputTarget& target) {
  const int fd = target.descriptor >= 0 ? fcntl(target.descriptor, F_DUPFD_CLOEXEC, 0)
                                        : ::open(target.path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail_write(target.path, errno);
  return fd;
}

// Gives the file the mode of what it will replace, and its owner or at least its group where that
// may be given. False: errno.
bool take_over(int fd, const OutputTarget& target) {
  if (target.kind != OutputTarget::Kind::kFile) return true;
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  const bool has_owner =
      fchown(fd, target.owner, target.group) == 0 || fchown(fd, kSameOwner, target.group) == 0;
  // Another group must not get what was for the old one.
  const mode_t mode = has_owner ? target.mode : target.mode & ~static_cast<mode_t>(S_IRWXG);
  return fchmod(fd, mode) == 0;
}

// An empty file aside that no other process has.
int open_staging(const OutputTarget& target) {
  const int fd = open_locked(staging_file(target.path));
  if (fd == kIsLocked) {
    throw_<DataError>("[write] {}: another process is writing it. Choose another output.",
                      target.path.string());
  }
  if (fd < 0) fail_write(target.path, errno);
  if (ftruncate(fd, 0) == 0 && take_over(fd, target)) return fd;
  const int code = errno;
  close(fd);
  fail_write(target.path, code);
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target) : target_(find_output(target)) {
  if (target_.error != 0) fail_write(target_.path, target_.error);
  if (target_.kind == OutputTarget::Kind::kFolder) fail_write(target_.path, EISDIR);
  file_.emplace(target_.path, target_.is_stream() ? open_stream(target_) : open_staging(target_));
}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  if (!target_.is_stream()) {
    std::error_code ignored;
    fs::remove(staging_file(target_.path), ignored);  // while it is locked
  }
  file_.reset();
}

void AtomicFile::commit() {
  if (target_.is_stream()) {
    file_->sync_and_close();
    file_.reset();
    return;
  }
  const fs::path aside = staging_file(target_.path);
  file_->sync();
  if (::rename(aside.c_str(), target_.path.c_str()) != 0) {
    const int code = errno;
    file_.reset();
    throw_<DataError>("[write] {}: cannot be replaced: {}. What was to be written stands in {}.",
                      target_.path.string(), system_error_text(code), aside.string());
  }
  file_.reset();
  sync_folder(parent_or_here(target_.path));
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

namespace {

// Exchanges two folders by one rename. File systems that have none (some of a network) get three:
// a kill between them leaves the old folder beside its place.
void exchange(const fs::path& one, const fs::path& other) {
  if (renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail_write(other, errno);
  const fs::path aside = one.string() + ".old";
  if (::rename(other.c_str(), aside.c_str()) != 0 || ::rename(one.c_str(), other.c_str()) != 0 ||
      ::rename(aside.c_str(), one.c_str()) != 0) {
    fail_write(other, errno);
  }
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& target) : target_(find_output(target).path) {
  staging_ = parent_or_here(target_) / fmt::format(".{}.tmp", target_.filename().string());
  std::error_code error;
  fs::remove_all(staging_, error);  // left by a run that was killed
  fs::create_directories(staging_, error);
  if (error) fail_write(staging_, error.value());
}

AtomicFolder::~AtomicFolder() {
  if (is_committed_) return;
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
}

// Entries of `old` that `current` has not, so not of the writer of both, move there.
void AtomicFolder::keep_foreign(const fs::path& old, const fs::path& current) {
  std::error_code error;
  std::vector<fs::path> foreign;
  for (fs::directory_iterator it(old, error), end; !error && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    if (!fs::exists(fs::symlink_status(current / name, error))) foreign.push_back(name);
  }
  for (const fs::path& name : foreign) {
    if (::rename((old / name).c_str(), (current / name).c_str()) != 0) fail_write(current, errno);
  }
}

void AtomicFolder::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(staging_)) {
    if (entry.is_regular_file()) sync_path(entry.path(), O_RDONLY);
  }
  sync_folder(staging_);
  std::error_code error;
  if (fs::exists(target_, error)) {
    exchange(staging_, target_);
    is_committed_ = true;
    keep_foreign(staging_, target_);
    fs::remove_all(staging_, error);  // now holds what stood at the target
  } else {
    if (::rename(staging_.c_str(), target_.c_str()) != 0) fail_write(target_, errno);
    is_committed_ = true;
  }
  sync_folder(parent_or_here(target_));
}

}  // namespace cpx
