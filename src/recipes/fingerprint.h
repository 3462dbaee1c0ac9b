// SPDX-License-Identifier: Apache-2.0
// Short texts that change when a run's model or data do.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "cpx/data/preferences.h"
#include "cpx/data/record.h"

namespace cpx::recipes {

/// Size and hash of a model's files: the .gguf, or config and weights of a folder, be it a model's
/// or an adapter's. The hash takes in the first, the last and evenly spaced blocks of each file, so
/// it is quick for any size.
std::string model_fingerprint(const std::filesystem::path& model);

/// The same of one file.
std::string file_fingerprint(const std::filesystem::path& file);

/// Number and hash of the records' texts.
std::string records_fingerprint(std::span<const data::Record> records);

/// The same of prompts with chosen and rejected answers.
std::string preferences_fingerprint(std::span<const data::PreferenceItem> items);

}  // namespace cpx::recipes
