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

/// A value of a kind that cpx reads nowhere: an array of arrays.
struct GgufOtherValue {};

/// A value of the metadata: every integer as int64 (beyond it, as double), every float as double;
/// arrays of them, of booleans (as integers) or of texts.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>, GgufOtherValue>;

/// A tensor of the file. `shape` has the outermost dimension first (as LibTorch, not as stored).
struct GgufTensor {
  std::string name;
  tensor::StorageType type = tensor::StorageType::kF32;
  /// "IQ2_XS (type 17)" where cpx does not read the type: then `type` and `bytes` say nothing.
  std::string unread_type = {};
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;             // lives as long as the file
  std::shared_ptr<const MappedFile> file = {};  // where the bytes lie; to be kept by their users
};

/// An opened GGUF file, or the files of a model that was split; all counts and offsets are checked
/// when it is opened, values and types when they are asked for.
class GgufFile {
 public:
  /// Opens the file; where it is the first of a split model, the others beside it too. Throws
  /// DataError that names the file, the place and what is wrong there.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  /// The value of `key` as a T, or nothing when the key is absent; a DataError when it is there
  /// with a value that is no T. Numbers of any width are taken, whole ones as int64, 0 and 1 as
  /// booleans.
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<int64_t> find_int(const std::string& key) const;
  std::optional<double> find_double(const std::string& key) const;
  std::optional<std::string> find_text(const std::string& key) const;
  /// The same of arrays; empty when the key is absent.
  std::vector<int64_t> find_ints(const std::string& key) const;
  std::vector<double> find_doubles(const std::string& key) const;
  /// The same without a copy; nullptr when the key is absent.
  const std::vector<std::string>* find_texts(const std::string& key) const;
  /// True where the value of `key` is an array.
  bool is_array(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// The tensor of that name, or nullptr.
  const GgufTensor* find_tensor(const std::string& name) const;
  /// The tensor of that name; throws DataError where there is none, or one of a type that cpx does
  /// not read.
  const GgufTensor& tensor(const std::string& name) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit GgufFile(std::shared_ptr<const MappedFile> file);
  void add_tensors(std::vector<GgufTensor> tensors, const std::shared_ptr<const MappedFile>& file);

  std::filesystem::path path_;
  std::map<std::string, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t> index_;
};

/// The `tokenizer.*` keys of the file; those that its kind of tokenizer does not need are read only
/// where they can be.
tokenizer::GgufVocabulary read_gguf_vocabulary(const GgufFile& file);

}  // namespace cpx::formats
