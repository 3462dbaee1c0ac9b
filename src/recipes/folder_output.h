// SPDX-License-Identifier: Apache-2.0
// Outputs that are a folder of shards: one that is there, or a name that ends with a slash.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cpx::recipes {

bool is_folder_output(const std::filesystem::path& output);

/// Makes the folder that `output` names, where it names one, and throws DataError, opened by
/// [flag], where that cannot be. A file's name is checked to have its folder, so that the fault is
/// told before inputs are read.
void prepare_folder_output(std::string_view flag, const std::filesystem::path& output);

/// The shard of a group in a folder, as the published cleaning names it. Throws DataError for a
/// group that cannot be part of a file's name.
std::filesystem::path shard_of_group(const std::filesystem::path& folder, const std::string& group);

}  // namespace cpx::recipes
