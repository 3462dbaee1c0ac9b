// SPDX-License-Identifier: Apache-2.0
// Read-only memory-mapped files: weights are used in place and shared between processes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace cpx {

/// A whole file mapped for reading; the bytes live as long as the object.
class MappedFile {
 public:
  /// Maps `path`; throws DataError with the system's reason when it cannot be opened.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Releases the memory of the pages that lie entirely within `part` of bytes(); they are read
  /// again when they are next used.
  void drop_pages(std::span<const std::byte> part) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size);

  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace cpx
