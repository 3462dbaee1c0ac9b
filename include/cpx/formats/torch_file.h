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

/// What such a file says of one tensor: a view of a storage.
struct TorchEntry {
  torch::Dtype dtype = torch::kFloat32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in numbers
  size_t begin = 0;              // byte offset of the first number in the file
};

/// An opened file of torch.save. The pickle is read by a closed list of instructions and names, and
/// nothing of it is ever run; what else it holds beside tensors at the top is passed over. All
/// tensors must lie in their storages, and these in the file.
class TorchFile final : public TensorFile {
 public:
  /// Throws DataError that names the file and what is wrong with it: another format (the one of
  /// before PyTorch 1.6 too), an instruction or a name that is not on the list, a tensor that
  /// reaches out of its storage.
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
