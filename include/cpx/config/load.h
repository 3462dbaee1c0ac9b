// SPDX-License-Identifier: Apache-2.0
// Loads YAML into option structs; finds every fault and its location.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/config/fields.h"
#include "cpx/core/faults.h"

namespace cpx::config {

/// The origin of each value of a loaded config: "demo.yaml:12", "command line: a.b=c", or the file
/// as a whole for a key that was not given.
class Sources {
 public:
  Sources() = default;
  explicit Sources(std::string file) : file_(std::move(file)) {}

  /// True if the file or the command line set this key ("adapter.rank").
  bool is_set(std::string_view key) const { return where_.find(key) != where_.end(); }
  std::string_view where(std::string_view key) const;
  /// All keys that were set, sorted.
  std::vector<std::string> keys() const;

  void set(std::string key, std::string where) { where_[std::move(key)] = std::move(where); }

 private:
  std::string file_ = "config";
  std::map<std::string, std::string, std::less<>> where_;
};

struct Loaded {
  Sources sources;
  Faults faults = {};  // in the order of the file; empty: all values are good
};

/// Fills `section` from YAML text that came from `file_name` (for messages) and then from
/// `overrides`, each "a.b=value" with a YAML value. A map is merged into the section, any other
/// value replaces the old one. A value with a fault keeps its default, except that the items of a
/// list are then undefined. Never throws for the content of the text.
Loaded load_text(const Section& section, std::string_view text, const std::string& file_name,
                 std::span<const std::string> overrides = {});

/// As load_text(), from a file; a file that cannot be read is a fault.
Loaded load_file(const Section& section, const std::filesystem::path& file,
                 std::span<const std::string> overrides = {});

}  // namespace cpx::config
