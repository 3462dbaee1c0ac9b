// SPDX-License-Identifier: Apache-2.0
// The forms in which a model is named on the command line.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx::models {

enum class ModelPathKind { kFolder, kGguf, kConfigFile };

/// Which form `path` is; throws DataError where nothing is there, or something else. `where` is
/// the function that asks, for the message.
ModelPathKind model_path_kind(std::string_view where, const std::filesystem::path& path);

}  // namespace cpx::models
