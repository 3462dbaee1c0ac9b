// SPDX-License-Identifier: Apache-2.0
// A file of tensors by name, whatever its format.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

namespace cpx::formats {

/// An opened and checked file. Its tensors lie in the mapped file where they can, which lives as
/// long as they do, and must not be written to.
class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::vector<std::string>& names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  /// Of `name`; throw DataError when there is no such tensor.
  virtual const std::vector<int64_t>& shape(const std::string& name) const = 0;
  virtual torch::Dtype dtype(const std::string& name) const = 0;
  /// The tensor, contiguous, in the stored type and on the CPU.
  virtual torch::Tensor tensor(const std::string& name) const = 0;

  virtual const std::filesystem::path& path() const = 0;
};

/// Opens a `.safetensors`, or else a file of torch.save (`pytorch_model.bin`). Throws DataError.
std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path);

}  // namespace cpx::formats
