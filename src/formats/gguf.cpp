// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/gguf.h"

#include <cmath>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "gguf_parser.h"
#include "gguf_split.h"

namespace cpx::formats {

namespace {

// What a value is, in the order of GgufValue's alternatives.
constexpr std::string_view kKinds[] = {"a boolean",
                                       "an integer",
                                       "a number",
                                       "a text",
                                       "an array of integers",
                                       "an array of numbers",
                                       "an array of texts",
                                       "an array of arrays"};

template <class T>
std::string_view kind_of() {
  return kKinds[GgufValue(std::in_place_type<T>).index()];
}

// Whole numbers below this are the same as double and as int64.
constexpr double kWholeLimit = 9007199254740992.0;  // 2^53

std::optional<int64_t> whole_number(double value) {
  const bool is_whole = std::abs(value) <= kWholeLimit && value == std::trunc(value);
  return is_whole ? std::optional(static_cast<int64_t>(value)) : std::nullopt;
}

// A value as a T without a change of what it says; nothing where that cannot be.
std::optional<bool> convert(const GgufValue& value, bool) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean;
  const auto* integer = std::get_if<int64_t>(&value);
  if (integer == nullptr || *integer < 0 || *integer > 1) return std::nullopt;
  return *integer == 1;
}

std::optional<int64_t> convert(const GgufValue& value, int64_t) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
  const auto* number = std::get_if<double>(&value);
  return number == nullptr ? std::nullopt : whole_number(*number);
}

std::optional<double> convert(const GgufValue& value, double) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  const auto* integer = std::get_if<int64_t>(&value);
  return integer == nullptr ? std::nullopt : std::optional(static_cast<double>(*integer));
}

std::optional<std::string> convert(const GgufValue& value, const std::string&) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

std::optional<std::vector<int64_t>> convert(const GgufValue& value, const std::vector<int64_t>&) {
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) return *integers;
  const auto* numbers = std::get_if<std::vector<double>>(&value);
  if (numbers == nullptr) return std::nullopt;
  std::vector<int64_t> result;
  for (const double number : *numbers) {
    const auto whole = whole_number(number);
    if (!whole) return std::nullopt;
    result.push_back(*whole);
  }
  return result;
}

std::optional<std::vector<double>> convert(const GgufValue& value, const std::vector<double>&) {
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) return *numbers;
  const auto* integers = std::get_if<std::vector<int64_t>>(&value);
  if (integers == nullptr) return std::nullopt;
  return std::vector<double>(integers->begin(), integers->end());
}

using Metadata = std::map<std::string, GgufValue>;

[[noreturn]] void fail_kind(const GgufFile& file, const std::string& key, const GgufValue& value,
                            std::string_view expected) {
  throw_<DataError>("[gguf] {}: '{}' is {}, expected {}.", file.path().string(), key,
                    kKinds[value.index()], expected);
}

// The value of `key` as a T, or nothing when it is absent.
template <class T>
std::optional<T> find_as(const GgufFile& file, const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  auto value = convert(found->second, T());
  if (!value) fail_kind(file, key, found->second, kind_of<T>());
  return value;
}

}  // namespace

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const GgufFile>(new GgufFile(MappedFile::open(path)));
}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file) : path_(file->path()) {
  auto content = parse_gguf(*file);
  metadata_ = std::move(content.metadata);
  add_tensors(std::move(content.tensors), file);
  for (auto& part : open_other_parts(path_, metadata_)) {
    add_tensors(std::move(part.tensors), part.file);
  }
  check_number_of_tensors(path_, metadata_, tensors_.size());
}

void GgufFile::add_tensors(std::vector<GgufTensor> tensors,
                           const std::shared_ptr<const MappedFile>& file) {
  for (auto& tensor : tensors) {
    tensor.file = file;
    if (!index_.emplace(tensor.name, tensors_.size()).second) {
      throw_<DataError>("[gguf] {}: the tensor {} is there twice, expected once.",
                        file->path().string(), quote(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
}

std::optional<bool> GgufFile::find_bool(const std::string& key) const {
  return find_as<bool>(*this, metadata_, key);
}

std::optional<int64_t> GgufFile::find_int(const std::string& key) const {
  return find_as<int64_t>(*this, metadata_, key);
}

std::optional<double> GgufFile::find_double(const std::string& key) const {
  return find_as<double>(*this, metadata_, key);
}

std::optional<std::string> GgufFile::find_text(const std::string& key) const {
  return find_as<std::string>(*this, metadata_, key);
}

std::vector<int64_t> GgufFile::find_ints(const std::string& key) const {
  return find_as<std::vector<int64_t>>(*this, metadata_, key).value_or(std::vector<int64_t>());
}

std::vector<double> GgufFile::find_doubles(const std::string& key) const {
  return find_as<std::vector<double>>(*this, metadata_, key).value_or(std::vector<double>());
}

const std::vector<std::string>* GgufFile::find_texts(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return nullptr;
  const auto* texts = std::get_if<std::vector<std::string>>(&found->second);
  if (texts == nullptr) fail_kind(*this, key, found->second, kind_of<std::vector<std::string>>());
  return texts;
}

bool GgufFile::is_array(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found != metadata_.end() &&
         found->second.index() >= GgufValue(std::in_place_type<std::vector<int64_t>>).index();
}

const GgufTensor* GgufFile::find_tensor(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const GgufTensor& GgufFile::tensor(const std::string& name) const {
  const GgufTensor* tensor = find_tensor(name);
  if (tensor == nullptr) {
    throw_<DataError>("[gguf] {}: has no tensor {}.", path_.string(), quote(name));
  }
  if (!tensor->unread_type.empty()) {
    throw_<DataError>(
        "[gguf] {}: {} is stored as {}, expected one of {}. Make the file again in one of these, "
        "for example with 'llama-quantize --allow-requantize IN OUT Q8_0'.",
        tensor->file->path().string(), quote(name), tensor->unread_type, known_gguf_types());
  }
  return *tensor;
}

}  // namespace cpx::formats
