// SPDX-License-Identifier: Apache-2.0
// The outputs of a command, looked at before anything expensive is loaded. Nothing is made or
// changed by looking.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cpx {

/// The fault of an output file that could not be written, or nothing: its folder is missing, it is
/// a folder, nobody may write there. `flag` opens the message ("--output").
std::optional<std::string> output_file_fault(std::string_view flag,
                                             const std::filesystem::path& path);

/// The same of an output folder, which may be there or be made.
std::optional<std::string> output_folder_fault(std::string_view flag,
                                               const std::filesystem::path& folder);

/// True where both paths lead to the same file or folder, or would once it is made.
bool is_same_place(const std::filesystem::path& one, const std::filesystem::path& other);

/// Collects what a command reads and writes under the flags that name them.
class OutputCheck {
 public:
  /// A file or folder that is read: no output may replace it, or a model's file in it.
  void reads(std::string flag, std::filesystem::path path);
  /// A file that is written.
  void writes(std::string flag, std::filesystem::path path);

  /// Throws ConfigError with all outputs that stand in the way of an input or of each other, and
  /// DataError for the first that cannot be written.
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
