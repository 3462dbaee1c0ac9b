// SPDX-License-Identifier: Apache-2.0
// Told before the work, not after it.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx::recipes {

/// Throws DataError, opened by `flag`, where the folder that `path` is to be written to is not
/// there.
void check_folder_of(std::string_view flag, const std::filesystem::path& path);

}  // namespace cpx::recipes
