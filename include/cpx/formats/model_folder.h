// SPDX-License-Identifier: Apache-2.0
// The weights of a Hugging Face folder: one file, or shards with an index; as safetensors,
// otherwise as files of torch.save.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/formats/tensor_file.h"

namespace cpx::formats {

/// All tensors of a model folder by name.
class ModelFolder {
 public:
  /// Opens the first that exists, in the order of transformers: `model.safetensors`, the shards
  /// that `model.safetensors.index.json` names, `pytorch_model.bin`, the shards that
  /// `pytorch_model.bin.index.json` names. Throws DataError that says what is missing.
  explicit ModelFolder(const std::filesystem::path& folder);

  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return files_.contains(name); }
  /// The file that contains `name`; throws DataError, with the nearest known name, if there is
  /// none.
  const TensorFile& file_of(const std::string& name) const;
  /// As TensorFile::tensor().
  torch::Tensor tensor(const std::string& name) const { return file_of(name).tensor(name); }

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::shared_ptr<const TensorFile>> files_;
};

}  // namespace cpx::formats
