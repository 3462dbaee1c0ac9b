// SPDX-License-Identifier: Apache-2.0
// GGUF files (version 2 and 3, little endian): metadata and tensors, read in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "cpx/core/mapped_file.h"
#include "cpx/tensor/storage_type.h"
#include "cpx/tokenizer/gguf_vocabulary.h"

namespace cpx::formats {

/// A value of the metadata: every integer as int64 (beyond it, as double), every float as double;
/// arrays of them, of booleans (as integers) or of texts.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

/// A tensor of the file. `shape` has the outermost dimension first (as LibTorch, not as stored).
struct GgufTensor {
  std::string name;
  tensor::StorageType type = tensor::StorageType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // lives as long as the file
};

/// An opened GGUF file; all counts, offsets and types are checked when it is opened.
class GgufFile {
 public:
  /// Throws DataError that names the file, the place and what is wrong there.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  /// The value of `key` as a T, or nothing when the key is absent; a DataError when it is there
  /// with another type (an integer reads as double too).
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<int64_t> find_int(const std::string& key) const;
  std::optional<double> find_double(const std::string& key) const;
  std::optional<std::string> find_text(const std::string& key) const;
  const std::vector<int64_t>* find_ints(const std::string& key) const;
  const std::vector<double>* find_doubles(const std::string& key) const;
  const std::vector<std::string>* find_texts(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// The tensor of that name, or nullptr.
  const GgufTensor* find_tensor(const std::string& name) const;

  const std::filesystem::path& path() const { return file_->path(); }
  /// The mapped file, to be kept alive by whoever keeps its bytes.
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  explicit GgufFile(std::shared_ptr<const MappedFile> file);

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t> index_;
};

/// The `tokenizer.*` keys of the file.
tokenizer::GgufVocabulary read_gguf_vocabulary(const GgufFile& file);

}  // namespace cpx::formats
