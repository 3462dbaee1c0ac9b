// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"
#include "cpx/models/load.h"
#include "model_path.h"

namespace cpx::models {

namespace fs = std::filesystem;

ModelPathKind model_path_kind(std::string_view where, const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw_<DataError>("[{}] {}: no such file or folder, expected a model folder or a .gguf.", where,
                      path.string());
  }
  if (fs::is_directory(path, error)) return ModelPathKind::kFolder;
  if (path.extension() == ".gguf") return ModelPathKind::kGguf;
  if (path.filename() == "config.json") return ModelPathKind::kConfigFile;
  throw_<DataError>("[{}] {}: is no model, expected a folder, a .gguf or a config.json.", where,
                    path.string());
}

formats::ModelConfig read_config(const fs::path& path) {
  switch (model_path_kind("read_config", path)) {
    case ModelPathKind::kFolder:
      return formats::read_model_config(path);
    case ModelPathKind::kGguf:
      return formats::read_model_config(*formats::GgufFile::open(path));
    case ModelPathKind::kConfigFile:
      return formats::read_model_config(path.parent_path());
  }
  return {};
}

}  // namespace cpx::models
