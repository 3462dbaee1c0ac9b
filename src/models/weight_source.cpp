// SPDX-License-Identifier: Apache-2.0
#include "weight_source.h"

#include <utility>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/formats/model_folder.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/tensor/device.h"

namespace cpx::models {

namespace {

class FolderWeights : public WeightSource {
 public:
  explicit FolderWeights(const std::filesystem::path& folder) : folder_(folder) {}

  std::string name_of(const std::string& key) const override { return key; }
  std::vector<std::string> names() const override { return folder_.names(); }
  bool contains(const std::string& name) const override { return folder_.contains(name); }

  std::vector<int64_t> shape(const std::string& name) const override {
    return folder_.file_of(name).shape(name);
  }

  std::filesystem::path file_of(const std::string& name) const override {
    return folder_.file_of(name).path();
  }

  torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const override {
    return stored(key).to(dtype);
  }

  std::optional<tensor::StorageType> block_type(const std::string&) const override { return {}; }

  kernels::BlockWeight blocks(const std::string& key, tensor::StorageType type) const override {
    const auto numbers = stored(key);
    const bool is_double = numbers.scalar_type() == at::kDouble;
    return kernels::block_weight(
        type, quant::quantize(type, is_double ? numbers.to(at::kFloat) : numbers));
  }

  // Buffers that old versions of transformers stored beside the weights.
  bool is_ignored(const std::string& name) const override {
    return name.ends_with("rotary_emb.inv_freq");
  }

 private:
  torch::Tensor stored(const std::string& key) const {
    auto numbers = folder_.tensor(key);
    if (!at::isFloatingType(numbers.scalar_type()) || numbers.element_size() < 2) {
      throw_<DataError>(
          "[load_model] {}: '{}' is stored as {}, expected float32, float16 or bfloat16.",
          file_of(key).string(), key, tensor::dtype_name(numbers.scalar_type()));
    }
    return numbers;
  }

  formats::ModelFolder folder_;
};

class RenamedWeights : public WeightSource {
 public:
  using NameOf = std::function<std::string(const WeightSource&, const std::string&)>;

  RenamedWeights(std::unique_ptr<WeightSource> source, NameOf name_of)
      : source_(std::move(source)), name_of_(std::move(name_of)) {}

  std::string name_of(const std::string& key) const override { return name_of_(*source_, key); }
  std::vector<std::string> names() const override { return source_->names(); }
  bool contains(const std::string& name) const override { return source_->contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override {
    return source_->shape(name);
  }
  std::filesystem::path file_of(const std::string& name) const override {
    return source_->file_of(name);
  }
  torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const override {
    return source_->tensor(name_of(key), dtype);
  }
  std::optional<tensor::StorageType> block_type(const std::string& key) const override {
    return source_->block_type(name_of(key));
  }
  kernels::BlockWeight blocks(const std::string& key, tensor::StorageType type) const override {
    return source_->blocks(name_of(key), type);
  }
  bool is_ignored(const std::string& name) const override { return source_->is_ignored(name); }

 private:
  std::unique_ptr<WeightSource> source_;
  NameOf name_of_;
};

}  // namespace

std::unique_ptr<WeightSource> with_names(
    std::unique_ptr<WeightSource> source,
    std::function<std::string(const WeightSource& source, const std::string& key)> name_of) {
  return std::make_unique<RenamedWeights>(std::move(source), std::move(name_of));
}

std::unique_ptr<WeightSource> open_folder_weights(const std::filesystem::path& folder) {
  return std::make_unique<FolderWeights>(folder);
}

}  // namespace cpx::models
