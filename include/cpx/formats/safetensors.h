// SPDX-License-Identifier: Apache-2.0
// safetensors files: read in place from a mapped file; writing checks and syncs.
// Format: an unsigned 64-bit length, a JSON header of that length, then the bytes of the tensors.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cpx/core/mapped_file.h"
#include "cpx/formats/tensor_file.h"

namespace cpx::formats {

/// A tensor and its name.
struct NamedTensor {
  std::string name;
  torch::Tensor value;
};

/// The header entry of one tensor.
struct SafetensorsEntry {
  std::string stored_type;            // "F32"
  std::optional<torch::Dtype> dtype;  // nullopt if cpx cannot read it
  std::vector<int64_t> shape;
  size_t begin = 0;  // byte offsets in the file
  size_t end = 0;
};

/// An open safetensors file. The whole header is checked when the file is opened: the bytes of the
/// tensors must match their shapes, lie in the file, leave no gap and not overlap. A tensor of a
/// type that cpx cannot read is an error only when it is requested.
class SafetensorsFile final : public TensorFile {
 public:
  /// Throws DataError with the file, the tensor and the fault.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  /// Names in the order of the data.
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(const std::string& name) const override { return entries_.contains(name); }
  const std::vector<int64_t>& shape(const std::string& name) const override;
  /// Throws DataError also if cpx cannot read the type.
  torch::Dtype dtype(const std::string& name) const override;
  /// Copies only misaligned data and booleans.
  torch::Tensor tensor(const std::string& name) const override;

  /// The strings of `__metadata__` in the header.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const override { return file_->path(); }

 private:
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> file);
  const SafetensorsEntry& entry(const std::string& name) const;

  std::shared_ptr<const MappedFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes and syncs a safetensors file (not atomic: write into an AtomicFolder). Tensors may be on
/// any device; each is stored contiguously in its own type, in the given order.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cpx::formats
