// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/gguf.h"

#include "cpx/core/error.h"
#include "gguf_parser.h"
#include "quote.h"

namespace cpx::formats {

namespace {

// What a value is, in the order of GgufValue's alternatives.
constexpr std::string_view kKinds[] = {
    "a boolean",           "an integer",       "a number", "a text", "an array of integers",
    "an array of numbers", "an array of texts"};

template <class T>
std::string_view kind_of() {
  return kKinds[GgufValue(std::in_place_type<T>).index()];
}

// The value of `key` as a T, or nullptr when it is absent.
template <class T>
const T* find_as(const GgufFile& file, const std::map<std::string, GgufValue>& metadata,
                 const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    throw_<DataError>("[gguf] {}: '{}' is {}, expected {}.", file.path().string(), key,
                      kKinds[found->second.index()], kind_of<T>());
  }
  return value;
}

template <class T>
std::optional<T> optional_of(const T* value) {
  return value == nullptr ? std::nullopt : std::optional<T>(*value);
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const GgufFile>(new GgufFile(MappedFile::open(path)));
}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  auto content = parse_gguf(*file_);
  metadata_ = std::move(content.metadata);
  tensors_ = std::move(content.tensors);
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

std::optional<bool> GgufFile::find_bool(const std::string& key) const {
  return optional_of(find_as<bool>(*this, metadata_, key));
}

std::optional<int64_t> GgufFile::find_int(const std::string& key) const {
  return optional_of(find_as<int64_t>(*this, metadata_, key));
}

std::optional<double> GgufFile::find_double(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found != metadata_.end()) {
    if (const auto* integer = std::get_if<int64_t>(&found->second)) {
      return static_cast<double>(*integer);
    }
  }
  return optional_of(find_as<double>(*this, metadata_, key));
}

std::optional<std::string> GgufFile::find_text(const std::string& key) const {
  return optional_of(find_as<std::string>(*this, metadata_, key));
}

const std::vector<int64_t>* GgufFile::find_ints(const std::string& key) const {
  return find_as<std::vector<int64_t>>(*this, metadata_, key);
}

const std::vector<double>* GgufFile::find_doubles(const std::string& key) const {
  return find_as<std::vector<double>>(*this, metadata_, key);
}

const std::vector<std::string>* GgufFile::find_texts(const std::string& key) const {
  return find_as<std::vector<std::string>>(*this, metadata_, key);
}

const GgufTensor* GgufFile::find_tensor(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace cpx::formats
