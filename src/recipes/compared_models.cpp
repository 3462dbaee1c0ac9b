// SPDX-License-Identifier: Apache-2.0
#include "compared_models.h"

#include <algorithm>
#include <cctype>

#include "cpx/core/error.h"
#include "folder_output.h"

namespace cpx::recipes {

namespace fs = std::filesystem;

std::string file_part(const std::string& name) {
  std::string part;
  bool is_between = false;
  for (const char letter : name) {
    const bool is_kept =
        std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '.' || letter == '-';
    // No part begins with a dot: ".." of a path and hidden files.
    if (!is_kept || (part.empty() && letter == '.')) {
      is_between = true;
      continue;
    }
    if (is_between && !part.empty()) part += '_';
    is_between = false;
    part += letter;
  }
  return part.empty() ? "model" : part;
}

std::string folder_name(const fs::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

fs::path beside_texts(const fs::path& texts, const std::string& part) {
  fs::path path = texts;
  return path.replace_extension(part + ".jsonl");
}

std::vector<ComparedModel> compared_models(const std::optional<fs::path>& adapter,
                                           const std::vector<fs::path>& compare,
                                           const fs::path& output) {
  std::vector<ComparedModel> models;
  models.push_back({.name = adapter ? adapter->string() : "base", .adapter = adapter});
  for (const fs::path& one : compare) models.push_back({.name = one.string(), .adapter = one});
  const bool is_folder = is_folder_output(output);
  if (!is_folder && models.size() > 1) {
    throw_<ConfigError>(
        "[command line] --output: got the file {} for {} models, expected a folder (NAME/).",
        output.string(), models.size());
  }
  for (auto model = models.begin(); model != models.end(); ++model) {
    model->texts = is_folder ? output / (file_part(model->name) + ".jsonl") : output;
    if (std::find_if(models.begin(), model, [&](const ComparedModel& other) {
          return other.texts == model->texts;
        }) != model) {
      throw_<ConfigError>(
          "[command line] --compare: got {} twice, or a name like it, expected models of different "
          "names.",
          model->name);
    }
  }
  return models;
}

}  // namespace cpx::recipes
