// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/path.h"

#include <array>
#include <cstdlib>
#include <pwd.h>
#include <string>
#include <unistd.h>

#include "cpx/core/error.h"

namespace cpx {
namespace {

// Empty where the system knows none.
std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr && found->pw_dir != nullptr ? found->pw_dir : "";
}

}  // namespace

std::filesystem::path expand_home(std::string_view text) {
  if (!text.starts_with('~')) return text;
  const size_t slash = text.find('/');
  if (text.substr(0, slash) != "~") {
    throw_<DataError>(
        "got '{}', expected '~/' for your own home folder, or './{}' for a file of that name: "
        "another user's home folder needs its whole path",
        text, text);
  }
  const std::string home = home_folder();
  if (home.empty()) throw_<DataError>("got '{}', expected a whole path: HOME is not set", text);
  const size_t rest = slash == text.npos ? text.npos : text.find_first_not_of('/', slash);
  return rest == text.npos ? std::filesystem::path(home)
                           : std::filesystem::path(home) / text.substr(rest);
}

}  // namespace cpx
