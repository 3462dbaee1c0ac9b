// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_target.h"

#include <cerrno>
#include <charconv>
#include <optional>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace cpx {

namespace fs = std::filesystem;

namespace {

constexpr int kMaxLinks = 40;  // as the kernel

// The number of a path like /proc/self/fd/1, by whatever links it is reached.
std::optional<int> own_descriptor(const fs::path& path) {
  std::error_code error;
  const fs::path folder = fs::canonical(path.parent_path(), error);
  if (error || folder != fmt::format("/proc/{}/fd", getpid())) return std::nullopt;
  const std::string name = path.filename().string();
  int number = -1;
  const auto [rest, code] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (code != std::errc() || rest != name.data() + name.size()) return std::nullopt;
  return number;
}

OutputTarget stream(const fs::path& path, int descriptor = -1) {
  return {.path = path, .kind = OutputTarget::Kind::kStream, .descriptor = descriptor};
}

OutputTarget described(const fs::path& path, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return {.path = path, .kind = OutputTarget::Kind::kFolder};
  if (!S_ISREG(status.st_mode)) return stream(path);
  return {.path = path,
          .kind = OutputTarget::Kind::kFile,
          .mode = status.st_mode & 07777,
          .owner = status.st_uid,
          .group = status.st_gid};
}

}  // namespace

OutputTarget find_output(const fs::path& path) {
  if (path == "-") return stream(path, STDOUT_FILENO);
  fs::path place = path;
  for (int links = 0; links <= kMaxLinks; ++links) {
    if (const auto number = own_descriptor(place)) return stream(place, *number);
    struct stat status {};
    if (lstat(place.c_str(), &status) != 0) {
      return {.path = place, .error = errno == ENOENT ? 0 : errno};
    }
    if (!S_ISLNK(status.st_mode)) return described(place, status);
    std::error_code error;
    const fs::path next = fs::read_symlink(place, error);
    if (error) return {.path = place, .error = error.value()};
    place = next.is_absolute() ? next : place.parent_path() / next;
  }
  return {.path = path, .error = ELOOP};
}

bool is_standard_output(const fs::path& path) {
  return find_output(path).descriptor == STDOUT_FILENO;
}

fs::path staging_file(const fs::path& target) {
  return target.parent_path() / fmt::format(".{}.tmp", target.filename().string());
}

}  // namespace cpx
