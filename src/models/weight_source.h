// SPDX-License-Identifier: Apache-2.0
// Where the weights of a model are read from: a Hugging Face folder or a GGUF.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include "cpx/formats/model_config.h"
#include "cpx/kernels/block_weight.h"
#include "cpx/tensor/storage_type.h"

namespace cpx::models {

/// The weights on disk. Keys are those of Hugging Face; names are the file's own.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// The file's name of the weight `key`, whether it is there or not.
  virtual std::string name_of(const std::string& key) const = 0;
  /// All names, in no particular order.
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;

  /// The shape of a tensor, and its file. The tensor must exist.
  virtual std::vector<int64_t> shape(const std::string& name) const = 0;
  virtual std::filesystem::path file_of(const std::string& name) const = 0;

  /// The weight `key` in `dtype`, on the CPU; a view of the mapped file if it is stored like that.
  /// Check its shape first. Throws DataError if its stored type is not a number.
  virtual torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const = 0;

  /// The block type that computes with the quantised weight `key`: its own, or if that has no
  /// product, Q4_1 for Q4_K and Q8_0 for others. Nullopt for a weight that is not quantised.
  virtual std::optional<tensor::StorageType> block_type(const std::string& key) const = 0;
  /// The weight `key` in blocks of `type`; a view of the mapped file if it is stored like that.
  virtual kernels::BlockWeight blocks(const std::string& key, tensor::StorageType type) const = 0;

  /// True for a tensor that the model rightly does not use.
  virtual bool is_ignored(const std::string& name) const = 0;
};

/// The weights of a model folder.
std::unique_ptr<WeightSource> open_folder_weights(const std::filesystem::path& folder);

/// The weights of a model folder with linear layers in GPTQ or AWQ format, as `config` says. Such a
/// layer has a `weight`, which becomes dense when it is read. Layers without a qweight are as in
/// open_folder_weights().
std::unique_ptr<WeightSource> open_quantized_weights(const std::filesystem::path& folder,
                                                     const formats::QuantizationConfig& config);

/// The weights of `source` by other keys: name_of(source, key) is the name of `key` in the file.
std::unique_ptr<WeightSource> with_names(
    std::unique_ptr<WeightSource> source,
    std::function<std::string(const WeightSource& source, const std::string& key)> name_of);

/// The weights of a GGUF; `config` is its own.
std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const formats::GgufFile> file,
                                                const formats::ModelConfig& config);

}  // namespace cpx::models
