// SPDX-License-Identifier: Apache-2.0
// Checks the outputs of a command before anything expensive is loaded. The checks create and change
// nothing.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cpx {

/// Why an output file could not be written (its folder is missing, it is a folder, no permission),
/// or nullopt. `flag` begins the message ("--output").
std::optional<std::string> output_file_fault(std::string_view flag,
                                             const std::filesystem::path& path);

/// The same for an output folder, which may exist or be created.
std::optional<std::string> output_folder_fault(std::string_view flag,
                                               const std::filesystem::path& folder);

/// True if both paths lead to the same file or folder, or would once it is created.
bool is_same_place(const std::filesystem::path& one, const std::filesystem::path& other);

/// Collects what a command reads and writes under the flags that name them.
class OutputCheck {
 public:
  /// Adds a file or folder that the command reads: no output may replace it, or the files of a
  /// model in it.
  void reads(std::string flag, std::filesystem::path path);
  /// Adds a file that the command writes.
  void writes(std::string flag, std::filesystem::path path);

  /// Throws ConfigError with all outputs that are also an input or another output, and DataError
  /// for the first that cannot be written.
  void check() const;

 private:
  struct Named {
    std::string flag;
    std::filesystem::path path;
  };

  std::optional<std::string> clash(const Named& output, size_t number) const;

  std::vector<Named> inputs_;
  std::vector<Named> outputs_;
};

}  // namespace cpx
