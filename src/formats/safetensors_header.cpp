// SPDX-License-Identifier: Apache-2.0
#include "safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>

#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/text.h"
#include "lfs_pointer.h"

namespace cpx::formats {

namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct StoredType {
  std::string_view name;
  torch::Dtype dtype;
};

constexpr StoredType kStoredTypes[] = {
    {"F64", torch::kFloat64},   {"F32", torch::kFloat32}, {"F16", torch::kFloat16},
    {"BF16", torch::kBFloat16}, {"I64", torch::kInt64},   {"I32", torch::kInt32},
    {"I16", torch::kInt16},     {"I8", torch::kInt8},     {"U8", torch::kUInt8},
    {"BOOL", torch::kBool},
};

// The header's text: a 64-bit length, then that many bytes of JSON.
std::string_view header_text(const std::string& place, std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) {
    throw_<DataError>("{}: has {} bytes, expected at least {}. It is cut short.", place,
                      bytes.size(), kLengthBytes);
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  const uint64_t limit = std::min(kMaxHeaderBytes, uint64_t{bytes.size()} - kLengthBytes);
  if (length > limit) {
    throw_<DataError>(
        "{}: its header has {} bytes by the first number, expected at most {} (the file has {} "
        "bytes). It is cut short or no safetensors file.",
        place, length, limit, bytes.size());
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, static_cast<size_t>(length)};
}

// Of what other programs leave there only texts are taken; cpx needs none of it to read a tensor.
std::map<std::string, std::string> read_metadata(const JsonValue& value) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) return metadata;
  for (const auto& [key, text] : value.members()) {
    if (text.is_text()) metadata[std::string(key)] = text.text();
  }
  return metadata;
}

// Sizes or offsets: every number non-negative and below 2^63.
std::vector<int64_t> read_sizes(const JsonValue& fields, const std::string& key) {
  const JsonValue value = fields.at(key);
  constexpr auto kExpected = "a list of integers from 0 to 2^63 - 1";
  if (!value.is_list()) value.fail(kExpected);
  std::vector<int64_t> sizes;
  for (const JsonValue& size : value.elements()) {
    const auto number = size.as_integer(0);
    if (!number) value.fail(kExpected);
    sizes.push_back(*number);
  }
  return sizes;
}

std::optional<torch::Dtype> dtype_of(std::string_view stored_type) {
  for (const auto& type : kStoredTypes) {
    if (type.name == stored_type) return type.dtype;
  }
  return std::nullopt;
}

// Bytes of a tensor of a known type, or nothing where the number has more than 63 bits.
std::optional<int64_t> num_bytes(const SafetensorsEntry& entry) {
  auto bytes = static_cast<int64_t>(c10::elementSize(*entry.dtype));
  for (const int64_t size : entry.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

// The size must be that of the shape; how large an element of an unknown type is nobody can say.
void check_size(const std::string& place, const SafetensorsEntry& entry, int64_t size) {
  if (!entry.dtype) return;
  const auto expected = num_bytes(entry);
  if (!expected) {
    throw_<DataError>("{} is [{}], whose size in bytes does not fit 64 bits.", place,
                      fmt::join(entry.shape, ", "));
  }
  if (size != *expected) {
    throw_<DataError>("{} has {} bytes, expected {} for {} [{}].", place, size, *expected,
                      entry.stored_type, fmt::join(entry.shape, ", "));
  }
}

// `place` names file and tensor; `data` is where the tensors begin.
SafetensorsEntry read_entry(const std::string& place, const JsonValue& fields, size_t data,
                            size_t file_size) {
  SafetensorsEntry entry{
      .stored_type = fields.at("dtype").text(), .dtype = {}, .shape = read_sizes(fields, "shape")};
  entry.dtype = dtype_of(entry.stored_type);
  const auto offsets = read_sizes(fields, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fields.fail("data_offsets", "[begin, end] with begin <= end");
  }
  check_size(place, entry, offsets[1] - offsets[0]);
  if (static_cast<size_t>(offsets[1]) > file_size - data) {
    throw_<DataError>(
        "{} ends {} bytes after the header, but only {} bytes are there. The file is cut short; "
        "copy or download it again.",
        place, offsets[1], file_size - data);
  }
  entry.begin = data + static_cast<size_t>(offsets[0]);
  entry.end = data + static_cast<size_t>(offsets[1]);
  return entry;
}

// The tensors must follow each other from the header to the end of the file.
void check_layout(const std::string& place, const SafetensorsHeader& header, size_t data,
                  size_t file_size) {
  size_t position = data;
  for (const auto& name : header.names) {
    const auto& entry = header.entries.at(name);
    if (entry.begin != position) {
      throw_<DataError>("{}: {} begins at byte {} of the file, expected {}: the tensors {}.", place,
                        quote(name), entry.begin, position,
                        entry.begin < position ? "overlap" : "leave a gap");
    }
    position = entry.end;
  }
  if (position != file_size) {
    throw_<DataError>("{}: has {} bytes, expected {} (where the last tensor ends).", place,
                      file_size, position);
  }
}

}  // namespace

std::string safetensors_type_names() {
  std::vector<std::string_view> names;
  for (const auto& type : kStoredTypes) names.push_back(type.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string_view safetensors_type_name(torch::Dtype dtype) {
  for (const auto& type : kStoredTypes) {
    if (type.dtype == dtype) return type.name;
  }
  return {};
}

SafetensorsHeader parse_safetensors_header(const MappedFile& file) {
  refuse_lfs_pointer("safetensors", file);
  const std::string place = fmt::format("[safetensors] {}", file.path().string());
  const auto bytes = file.bytes();
  const auto text = header_text(place, bytes);
  const size_t data = kLengthBytes + text.size();
  const JsonValue json = JsonValue::parse(place, text, {.offset = kLengthBytes});
  if (!json.is_object()) json.fail("an object");

  SafetensorsHeader header;
  for (const auto& [key, value] : json.members()) {
    if (key == "__metadata__") {
      header.metadata = read_metadata(value);
      continue;
    }
    if (!value.is_object()) value.fail("an object with dtype, shape and data_offsets");
    const std::string name(key);
    header.entries[name] =
        read_entry(fmt::format("{}: {}", place, quote(name)), value, data, bytes.size());
    header.names.push_back(name);
  }
  std::sort(header.names.begin(), header.names.end(), [&](const auto& a, const auto& b) {
    const auto& left = header.entries.at(a);
    const auto& right = header.entries.at(b);
    return std::tie(left.begin, left.end, a) < std::tie(right.begin, right.end, b);
  });
  check_layout(place, header, data, bytes.size());
  return header;
}

}  // namespace cpx::formats
