// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/globs.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace cpx::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWildcards = "*?";

// True when `name` is of the form `pattern`; `*` is any number of bytes, `?` one of them.
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = pattern.npos;  // the last one passed, and where its match ends for now
  size_t star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

// The files of `folder` whose name has the form `pattern`, sorted; hidden ones only where the
// pattern opens with a point, as in a shell.
std::vector<fs::path> matching_files(const fs::path& folder, const std::string& pattern,
                                     std::error_code& error) {
  std::vector<fs::path> files;
  const fs::path listed = folder.empty() ? fs::path(".") : folder;
  for (fs::directory_iterator entry(listed, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;  // a link that leads nowhere is no file
    const bool is_hidden = name.front() == '.' && pattern.front() != '.';
    if (!is_hidden && matches(pattern, name) && entry->is_regular_file(ignored)) {
      files.push_back(folder / name);
    }
  }
  std::ranges::sort(files);
  return files;
}

std::vector<fs::path> expand(const std::string& pattern, Faults& faults) {
  const fs::path path = pattern;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    faults.add(pattern, "got a folder, expected files. Write '{}' for its JSON files.",
               (path / "*.json").string());
    return {};
  }
  if (fs::exists(path, error)) return {path};
  const std::string folder = path.parent_path().string();
  const std::string name = path.filename().string();
  if (folder.find_first_of(kWildcards) != folder.npos) {
    faults.add(pattern,
               "got a wildcard in the folder's name, expected one only in the file's name. Give "
               "each folder its own pattern.");
    return {};
  }
  if (name.find_first_of(kWildcards) == name.npos) {
    faults.add(pattern, "no such file: got nothing there, expected a file.");
    return {};
  }
  std::vector<fs::path> files = matching_files(folder, name, error);
  if (files.empty()) {
    faults.add(pattern, "no file matches: got {}, expected one or more.",
               error ? error.message() : "none");
  }
  return files;
}

}  // namespace

std::vector<fs::path> expand_globs(std::span<const std::string> patterns, Faults& faults) {
  std::vector<fs::path> files;
  std::set<fs::path> seen;
  for (const std::string& pattern : patterns) {
    for (fs::path& file : expand(pattern, faults)) {
      std::error_code error;
      const fs::path canonical = fs::weakly_canonical(file, error);
      if (seen.insert(error ? file : canonical).second) files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace cpx::data
