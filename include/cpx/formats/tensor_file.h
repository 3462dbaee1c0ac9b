// SPDX-License-Identifier: Apache-2.0
// A file with named tensors, in any format.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

namespace cpx::formats {

/// An open, checked file. Its tensors lie in the mapped file where possible, which lives as long as
/// they do; do not write to them.
class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::vector<std::string>& names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  /// Shape and type of `name`; throw DataError if there is no such tensor.
  virtual const std::vector<int64_t>& shape(const std::string& name) const = 0;
  virtual torch::Dtype dtype(const std::string& name) const = 0;
  /// The tensor, contiguous, in the stored type and on the CPU.
  virtual torch::Tensor tensor(const std::string& name) const = 0;

  virtual const std::filesystem::path& path() const = 0;
};

/// Opens a `.safetensors` file, or otherwise a file of torch.save (`pytorch_model.bin`). Throws
/// DataError.
std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path);

}  // namespace cpx::formats
