// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/model_folder.h"

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/json.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

using Files = std::map<std::string, std::shared_ptr<const TensorFile>>;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kTorchSingleName = "pytorch_model.bin";
constexpr const char* kTorchIndexName = "pytorch_model.bin.index.json";

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

[[noreturn]] void fail_without_weights(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw_<DataError>("[model_folder] {}: is no folder, expected one with {} or {}.",
                      folder.string(), kSingleName, kIndexName);
  }
  throw_<DataError>("[model_folder] {}: holds none of {}, {}, {} and {}.{}", folder.string(),
                    kSingleName, kIndexName, kTorchSingleName, kTorchIndexName,
                    download_hint(folder));
}

Files read_single(const fs::path& path) {
  const auto file = open_tensor_file(path);
  Files files;
  for (const auto& name : file->names()) files[name] = file;
  return files;
}

// A shard lies beside its index: a path would reach out of the folder.
bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

std::shared_ptr<const TensorFile> open_shard(const fs::path& index, const std::string& shard) {
  const auto path = index.parent_path() / shard;
  if (!is_file(path)) {
    const std::string hint = download_hint(index);
    throw_<DataError>("[model_folder] {}: names the shard {}, which is not there.{}",
                      index.string(), quote(shard), hint.empty() ? " Copy it here." : hint);
  }
  return open_tensor_file(path);
}

Files read_sharded(const fs::path& index) {
  const JsonValue json = JsonValue::read_object("model_folder", index);
  const auto map = json.find_object("weight_map");
  if (!map) json.fail_missing("weight_map");

  std::map<std::string, std::shared_ptr<const TensorFile>> shards;
  Files files;
  for (const auto& [key, value] : map->members()) {
    const std::string name(key);
    if (!value.is_text() || !is_file_name(value.text_view())) {
      value.fail("the name of a file in the same folder");
    }
    const std::string shard = value.text();
    auto& file = shards[shard];
    if (file == nullptr) file = open_shard(index, shard);
    if (!file->contains(name)) {
      throw_<DataError>("{}: says that {} holds {}, but that file does not.", json.place(),
                        quote(shard), quote(name));
    }
    files[name] = file;
  }
  return files;
}

}  // namespace

ModelFolder::ModelFolder(const fs::path& folder) : folder_(folder) {
  if (is_file(folder / kSingleName)) {
    files_ = read_single(folder / kSingleName);
  } else if (is_file(folder / kIndexName)) {
    files_ = read_sharded(folder / kIndexName);
  } else if (is_file(folder / kTorchSingleName)) {
    files_ = read_single(folder / kTorchSingleName);
  } else if (is_file(folder / kTorchIndexName)) {
    files_ = read_sharded(folder / kTorchIndexName);
  } else {
    fail_without_weights(folder);
  }
}

std::vector<std::string> ModelFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

const TensorFile& ModelFolder::file_of(const std::string& name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) {
    const auto nearest = nearest_name(name, names());
    throw_<DataError>("[model_folder] {}: has no tensor {}.{}", folder_.string(), quote(name),
                      nearest ? fmt::format(" The nearest name is {}.", quote(*nearest)) : "");
  }
  return *found->second;
}

}  // namespace cpx::formats
