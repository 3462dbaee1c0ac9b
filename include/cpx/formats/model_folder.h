// SPDX-License-Identifier: Apache-2.0
// The weights of a Hugging Face folder: one model.safetensors, or shards with an index.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/formats/safetensors.h"

namespace cpx::formats {

/// All tensors of a model folder by name.
class ModelFolder {
 public:
  /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names. Throws
  /// DataError that says what is missing; a folder with only pytorch_model.bin gets the line that
  /// converts it, with transformers' `auto_class`.
  explicit ModelFolder(const std::filesystem::path& folder,
                       std::string_view auto_class = "AutoModelForCausalLM");

  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return files_.contains(name); }
  /// The file that holds `name`; throws DataError, with the nearest known name, when none does.
  const SafetensorsFile& file_of(const std::string& name) const;
  /// As SafetensorsFile::tensor().
  torch::Tensor tensor(const std::string& name) const { return file_of(name).tensor(name); }

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files_;
};

}  // namespace cpx::formats
