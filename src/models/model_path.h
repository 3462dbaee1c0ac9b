// SPDX-License-Identifier: Apache-2.0
// The forms in which a model is named on the command line.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx::models {

enum class ModelPathKind { kFolder, kGguf, kConfigFile };

/// Where a model is on disk, and in which form.
struct ModelPlace {
  ModelPathKind kind;
  std::filesystem::path path;
};

/// Finds the model called `name`: a path, or a name in the Hugging Face cache (core/hub.h). Throws
/// DataError if there is no model; its message begins with `where`, the calling function.
ModelPlace model_place(std::string_view where, const std::filesystem::path& name);

}  // namespace cpx::models
