// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: `pytorch_model.bin` and its shards, `adapter_model.bin`. Format: a zip
// archive of stored entries; data.pkl is a pickle of a dictionary whose tensors point to the other
// entries.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpx/core/mapped_file.h"
#include "cpx/formats/tensor_file.h"

namespace cpx::formats {

/// One tensor of such a file: a view of a storage.
struct TorchEntry {
  torch::Dtype dtype = torch::kFloat32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements
  size_t begin = 0;              // byte offset of the first element in the file
};

/// An open file of torch.save. The pickle is read with a closed list of instructions and names, and
/// nothing in it is ever executed; objects other than tensors at the top level are ignored. All
/// tensors must lie within their storages, and the storages within the file.
class TorchFile final : public TensorFile {
 public:
  /// Throws DataError with the file and the fault: another format (such as the one before PyTorch
  /// 1.6), an instruction or a name that is not on the list, a tensor that exceeds its storage.
  static std::shared_ptr<const TorchFile> open(const std::filesystem::path& path);

  /// Sorted.
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(const std::string& name) const override { return entries_.contains(name); }
  const std::vector<int64_t>& shape(const std::string& name) const override;
  torch::Dtype dtype(const std::string& name) const override;
  torch::Tensor tensor(const std::string& name) const override;
  const std::filesystem::path& path() const override { return file_->path(); }

 private:
  explicit TorchFile(std::shared_ptr<const MappedFile> file);
  const TorchEntry& entry(const std::string& name) const;

  std::shared_ptr<const MappedFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, TorchEntry> entries_;
};

}  // namespace cpx::formats
