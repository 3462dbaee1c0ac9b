// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/safetensors.h"

#include <cstring>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text.h"
#include "safetensors_header.h"

namespace cpx::formats {

namespace {

bool is_aligned(const std::byte* data, torch::Dtype dtype) {
  return reinterpret_cast<uintptr_t>(data) % c10::elementSize(dtype) == 0;
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const SafetensorsFile>(new SafetensorsFile(MappedFile::open(path)));
}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  auto header = parse_safetensors_header(*file_);
  names_ = std::move(header.names);
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    const auto nearest = nearest_name(name, names_);
    throw_<DataError>("[safetensors] {}: has no tensor {}.{}", path().string(), quote(name),
                      nearest ? fmt::format(" The nearest name is {}.", quote(*nearest)) : "");
  }
  return found->second;
}

const std::vector<int64_t>& SafetensorsFile::shape(const std::string& name) const {
  return entry(name).shape;
}

torch::Dtype SafetensorsFile::dtype(const std::string& name) const {
  const SafetensorsEntry& stored = entry(name);
  if (!stored.dtype) {
    throw_<DataError>("[safetensors] {}: {} is stored as {}, expected one of {}.", path().string(),
                      quote(name), printable(stored.stored_type), safetensors_type_names());
  }
  return *stored.dtype;
}

torch::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsEntry& stored = entry(name);
  const torch::Dtype stored_dtype = dtype(name);
  if (stored.begin == stored.end) return torch::empty(stored.shape, stored_dtype);
  const std::byte* data = file_->bytes().data() + stored.begin;
  const auto view = [&](torch::Dtype as) {
    // LibTorch has no read-only tensors; the map is private to readers by contract.
    return torch::from_blob(
        const_cast<std::byte*>(data), stored.shape, [file = file_](void*) {}, as);
  };
  // Only 0 and 1 are booleans to the compiler, while a file may hold any byte.
  if (stored_dtype == torch::kBool) return view(torch::kUInt8).ne(0);
  if (is_aligned(data, stored_dtype)) return view(stored_dtype);
  torch::Tensor copy = torch::empty(stored.shape, stored_dtype);
  std::memcpy(copy.data_ptr(), data, stored.end - stored.begin);
  return copy;
}

}  // namespace cpx::formats
