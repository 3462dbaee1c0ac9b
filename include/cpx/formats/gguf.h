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

/// A value that cpx never reads: an array of arrays.
struct GgufOtherValue {};

/// A metadata value: every integer as int64 (or as double if it does not fit), every float as
/// double, and arrays of integers, floats, booleans (as integers) or strings.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>, GgufOtherValue>;

/// A tensor of the file. `shape` begins with the outermost dimension, as in LibTorch (the file
/// stores it last).
struct GgufTensor {
  std::string name;
  tensor::StorageType type = tensor::StorageType::kF32;
  /// "IQ2_XS (type 17)" if cpx cannot read the type; `type` and `bytes` are then meaningless.
  std::string unread_type = {};
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;             // valid as long as the file
  std::shared_ptr<const MappedFile> file = {};  // contains the bytes; keep it while they are used
};

/// An open GGUF file, or all files of a model that was split. Counts and offsets are checked when
/// it is opened, values and types when they are read.
class GgufFile {
 public:
  /// Opens the file, and if it is the first of a split model also the others beside it. Throws
  /// DataError with the file, the position and the fault.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  /// The value of `key` as a T, or nullopt if the key is absent; throws DataError if it has a value
  /// of another type. Numbers of any width are accepted, whole ones as int64, 0 and 1 as booleans.
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<int64_t> find_int(const std::string& key) const;
  std::optional<double> find_double(const std::string& key) const;
  std::optional<std::string> find_text(const std::string& key) const;
  /// The same for arrays; empty if the key is absent.
  std::vector<int64_t> find_ints(const std::string& key) const;
  std::vector<double> find_doubles(const std::string& key) const;
  /// As above without a copy; nullptr if the key is absent.
  const std::vector<std::string>* find_texts(const std::string& key) const;
  /// True if the value of `key` is an array.
  bool is_array(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// The tensor of that name, or nullptr.
  const GgufTensor* find_tensor(const std::string& name) const;
  /// The tensor of that name; throws DataError if there is none, or if cpx cannot read its type.
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

/// The tokenizer keys of the file. A key that this kind of tokenizer does not need may have any
/// value.
tokenizer::GgufVocabulary read_gguf_vocabulary(const GgufFile& file);

}  // namespace cpx::formats
