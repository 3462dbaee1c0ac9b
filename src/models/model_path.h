// SPDX-License-Identifier: Apache-2.0
// The forms in which a model is named on the command line.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx::models {

enum class ModelPathKind { kFolder, kGguf, kConfigFile };

/// A model's place: its path, and which form it is.
struct ModelPlace {
  ModelPathKind kind;
  std::filesystem::path path;
};

/// Where the model called `name` is: a path, or a name of the Hugging Face cache (core/hub.h);
/// throws DataError where nothing is there, or something else. `where` is the function that asks,
/// for the message.
ModelPlace model_place(std::string_view where, const std::filesystem::path& name);

}  // namespace cpx::models
