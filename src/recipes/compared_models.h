// SPDX-License-Identifier: Apache-2.0
// The models whose texts an evaluation sets side by side, and the files of their texts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::recipes {

/// A column of a report: the base, or the base with an adapter.
struct ComparedModel {
  std::string name = {};  // "base", or the adapter as it was given
  std::optional<std::filesystem::path> adapter = std::nullopt;
  std::filesystem::path texts = {};  // JSONL of what it writes
};

/// The base or `adapter`, then those of `compare`; all others are compared with the first. Their
/// texts go to `output`, which for several models must be a folder (see is_folder_output()): there
/// each file has the name of its model, "base.jsonl", "runs_demo_best.jsonl". Throws ConfigError
/// for a file with several models, and for two models of one name.
std::vector<ComparedModel> compared_models(const std::optional<std::filesystem::path>& adapter,
                                           const std::vector<std::filesystem::path>& compare,
                                           const std::filesystem::path& output);

/// `name` as a part of a file's name: letters, digits, dots and hyphens stay, what is between
/// others becomes one underscore.
std::string file_part(const std::string& name);

/// The last part of a folder's path, with or without a slash behind it.
std::string folder_name(const std::filesystem::path& folder);

/// The file beside `texts` that holds what was measured of them: "base.PART.jsonl".
std::filesystem::path beside_texts(const std::filesystem::path& texts, const std::string& part);

}  // namespace cpx::recipes
