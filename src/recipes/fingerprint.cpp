// SPDX-License-Identifier: Apache-2.0
#include "fingerprint.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cpx/core/hub.h"
#include "cpx/core/mapped_file.h"
#include "cpx/core/text_hash.h"

namespace cpx::recipes {

namespace {

constexpr size_t kBlockBytes = 64 * 1024;
constexpr size_t kBlocksPerFile = 16;

// Of a model, or of an adapter in PEFT's form.
bool is_model_file(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return name == "config.json" || name == "adapter_config.json" ||
         file.extension() == ".safetensors" || name.starts_with("pytorch_model") ||
         name.starts_with("adapter_model");
}

// The files of a GGUF: NAME-00001-of-00003.gguf is one of several.
std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& first) {
  const std::string name = first.filename().string();
  const size_t cut = name.rfind("-00001-of-");
  if (cut == std::string::npos) return {first};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(
           first.has_parent_path() ? first.parent_path() : std::filesystem::path("."))) {
    const std::string other = entry.path().filename().string();
    const bool is_part = other.size() == name.size() && other.starts_with(name.substr(0, cut)) &&
                         other.ends_with(name.substr(cut + 6));
    if (is_part) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::filesystem::path> model_files(const std::filesystem::path& name) {
  const std::filesystem::path model = resolve_hub_name("model", name, "a model folder, a .gguf");
  if (!std::filesystem::is_directory(model)) return gguf_files(model);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.is_regular_file() && is_model_file(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void add_sampled_blocks(TextHash& hash, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() <= kBlockBytes * kBlocksPerFile) {
    hash.add(text);
    return;
  }
  const size_t last = text.size() - kBlockBytes;
  for (size_t block = 0; block < kBlocksPerFile; ++block) {
    hash.add(text.substr(last / (kBlocksPerFile - 1) * block, kBlockBytes));
  }
  hash.add(text.substr(last));
}

std::string files_fingerprint(const std::vector<std::filesystem::path>& paths) {
  TextHash hash;
  size_t total = 0;
  for (const auto& path : paths) {
    const auto file = MappedFile::open(path);
    total += file->bytes().size();
    hash.add_text(path.filename().string());
    hash.add_text(fmt::format("{}", file->bytes().size()));
    add_sampled_blocks(hash, file->bytes());
  }
  return fmt::format("{} bytes, {}", total, hash.hex());
}

}  // namespace

std::string model_fingerprint(const std::filesystem::path& model) {
  return files_fingerprint(model_files(model));
}

std::string file_fingerprint(const std::filesystem::path& file) {
  return files_fingerprint({file});
}

std::string records_fingerprint(std::span<const data::Record> records) {
  TextHash hash;
  for (const data::Record& record : records) {
    hash.add_text(record.input);
    hash.add_text(record.group);
    for (const std::string& text : record.neutral) hash.add_text(text);
    hash.add_text("toxic");
    for (const std::string& text : record.toxic) hash.add_text(text);
  }
  return fmt::format("{} records, {}", records.size(), hash.hex());
}

std::string preferences_fingerprint(std::span<const data::PreferenceItem> items) {
  TextHash hash;
  for (const data::PreferenceItem& item : items) {
    hash.add_text(item.prompt);
    for (const std::string& text : item.chosen) hash.add_text(text);
    hash.add_text("rejected");
    for (const std::string& text : item.rejected) hash.add_text(text);
  }
  return fmt::format("{} items, {}", items.size(), hash.hex());
}

}  // namespace cpx::recipes
