// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/models/load.h"
#include "model_path.h"

namespace cpx::models {

namespace fs = std::filesystem;

ModelPlace model_place(std::string_view where, const fs::path& name) {
  const fs::path path = resolve_hub_name(where, name, "a model folder, a .gguf");
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw_<DataError>("[{}] {}: no such file or folder, expected a model folder or a .gguf.", where,
                      path.string());
  }
  if (fs::is_directory(path, error)) return {ModelPathKind::kFolder, path};
  if (path.extension() == ".gguf") return {ModelPathKind::kGguf, path};
  if (path.filename() == "config.json") return {ModelPathKind::kConfigFile, path.parent_path()};
  throw_<DataError>("[{}] {}: is no model, expected a folder, a .gguf or a config.json.", where,
                    path.string());
}

formats::ModelConfig read_config(const fs::path& path) {
  const ModelPlace place = model_place("read_config", path);
  return place.kind == ModelPathKind::kGguf
             ? formats::read_model_config(*formats::GgufFile::open(place.path))
             : formats::read_model_config(place.path);
}

}  // namespace cpx::models
