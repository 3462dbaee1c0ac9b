// SPDX-License-Identifier: Apache-2.0
#include "folder_output.h"

#include <system_error>

#include "cpx/core/error.h"
#include "cpx/core/output_check.h"

namespace cpx::recipes {

namespace fs = std::filesystem;

bool is_folder_output(const fs::path& output) {
  std::error_code error;
  return !output.empty() && (!output.has_filename() || fs::is_directory(output, error));
}

void prepare_folder_output(std::string_view flag, const fs::path& output) {
  if (!is_folder_output(output)) {
    if (const auto fault = output_file_fault(flag, output)) throw DataError(*fault);
    return;
  }
  if (const auto fault = output_folder_fault(flag, output)) throw DataError(*fault);
  std::error_code error;
  fs::create_directories(output, error);
  if (error) {
    throw_<DataError>("[{}] '{}' cannot be made: {}. Choose another folder.", flag, output.string(),
                      error.message());
  }
}

fs::path shard_of_group(const fs::path& folder, const std::string& group) {
  constexpr size_t kLongestName = 200;  // room for what stands beside it
  if (group.empty() || group.size() > kLongestName || group.find('/') != std::string::npos) {
    throw_<DataError>(
        "[--output] group '{}': got {} bytes, expected 1 to {} without a '/': it is part of a "
        "file's name in '{}'.",
        group, group.size(), kLongestName, folder.string());
  }
  return folder / fmt::format("neutral_{}.json", group);
}

}  // namespace cpx::recipes
