// SPDX-License-Identifier: Apache-2.0
#include "output_path.h"

#include "cpx/core/error.h"

namespace cpx::recipes {

void check_folder_of(std::string_view flag, const std::filesystem::path& path) {
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    throw_<DataError>("[{}] '{}' cannot be written: there is no folder '{}'. Make it first.", flag,
                      path.string(), folder.string());
  }
}

}  // namespace cpx::recipes
