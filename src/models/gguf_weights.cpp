// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>
#include <stdexcept>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/quant/gguf_blocks.h"
#include "key_table.h"
#include "weight_source.h"

namespace cpx::models {

namespace {

std::optional<torch::Dtype> plain_dtype(tensor::StorageType type) {
  switch (type) {
    case tensor::StorageType::kF32:
      return torch::kFloat32;
    case tensor::StorageType::kF16:
      return torch::kFloat16;
    case tensor::StorageType::kBF16:
      return torch::kBFloat16;
    default:
      return std::nullopt;
  }
}

// The type that blocks are converted to if their own type has no product.
tensor::StorageType nearest_block_type(tensor::StorageType type) {
  const bool has_four_bits_and_minima = type == tensor::StorageType::kQ4_K;
  return has_four_bits_and_minima ? tensor::StorageType::kQ4_1 : tensor::StorageType::kQ8_0;
}

bool can_stay_in_file(const formats::GgufTensor& stored, torch::Dtype dtype) {
  const auto address = reinterpret_cast<uintptr_t>(stored.bytes.data());
  // Small ones are copied, because a single view would keep the whole file mapped.
  return plain_dtype(stored.type) == dtype && stored.shape.size() > 1 &&
         address % c10::elementSize(dtype) == 0;
}

// LibTorch has no read-only tensors, hence the cast. Nobody writes to frozen weights.
torch::Tensor view_of(const formats::GgufTensor& stored, at::IntArrayRef shape,
                      torch::Dtype dtype) {
  return at::from_blob(
      const_cast<std::byte*>(stored.bytes.data()), shape, [kept = stored.file](void*) {},
      at::dtype(dtype));
}

// The blocks were checked, so that only their numbers can be invalid.
torch::Tensor quantized(const formats::GgufTensor& stored, tensor::StorageType type) {
  try {
    return quant::quantize(type, stored.type, stored.bytes, stored.shape);
  } catch (const std::invalid_argument&) {
    throw_<DataError>(
        "[gguf] {}: '{}' ({}) holds a number that is not finite or too large, expected one that {} "
        "can hold. The file is damaged; copy or download it again.",
        stored.file->path().string(), stored.name, storage_layout(stored.type).name,
        storage_layout(type).name);
  }
}

bool is_view_of(const torch::Tensor& tensor, const formats::GgufTensor& stored) {
  return tensor.const_data_ptr() == stored.bytes.data();
}

// llama.cpp's converter pairs row i of a head with row i + E/2; Hugging Face's order has the
// halves one behind the other.
torch::Tensor unpermuted(const torch::Tensor& stored, int64_t num_heads) {
  const auto shape = stored.sizes();
  return stored
      .view({num_heads, shape[0] / num_heads / 2, 2, -1})  // [H, E/2, 2, ...]
      .transpose(1, 2)
      .reshape(shape);
}

class GgufWeights : public WeightSource {
 public:
  GgufWeights(std::shared_ptr<const formats::GgufFile> file, const formats::ModelConfig& config)
      : file_(std::move(file)), config_(config) {}

  std::string name_of(const std::string& key) const override { return gguf_name(key); }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& tensor : file_->tensors()) names.push_back(tensor.name);
    return names;
  }

  bool contains(const std::string& name) const override {
    return file_->find_tensor(name) != nullptr;
  }

  std::vector<int64_t> shape(const std::string& name) const override {
    return file_->tensor(name).shape;
  }
  std::filesystem::path file_of(const std::string& name) const override {
    return file_->tensor(name).file->path();
  }

  torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const override {
    const formats::GgufTensor& stored = file_->tensor(gguf_name(key));
    const auto value = can_stay_in_file(stored, dtype)
                           ? view_of(stored, stored.shape, dtype)
                           : quant::dequantize(stored.type, stored.bytes, stored.shape, dtype);
    return in_order(key, value);
  }

  std::optional<tensor::StorageType> block_type(const std::string& key) const override {
    const auto type = file_->tensor(gguf_name(key)).type;
    if (kernels::has_block_product(type)) return type;
    return plain_dtype(type) ? std::nullopt : std::optional(nearest_block_type(type));
  }

  kernels::BlockWeight blocks(const std::string& key, tensor::StorageType type) const override {
    const formats::GgufTensor& stored = file_->tensor(gguf_name(key));
    const auto rows = stored.shape[0];
    const auto row_bytes = static_cast<int64_t>(stored.bytes.size()) / rows;
    const auto bytes = stored.type == type ? view_of(stored, {rows, row_bytes}, at::kByte)
                                           : quantized(stored, type);
    auto weight = kernels::block_weight(type, in_order(key, bytes));
    if (!is_view_of(weight.bytes, stored)) stored.file->drop_pages(stored.bytes);
    return weight;
  }

  // The config has it already.
  bool is_ignored(const std::string& name) const override { return name == "rope_freqs.weight"; }

 private:
  // The rows in Hugging Face's order, for which those of q and k are copied.
  torch::Tensor in_order(const std::string& key, const torch::Tensor& rows) const {
    const int64_t num_heads = num_permuted_heads(key, config_);
    return num_heads > 0 ? unpermuted(rows, num_heads) : rows;
  }

  std::shared_ptr<const formats::GgufFile> file_;
  formats::ModelConfig config_;
};

}  // namespace

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const formats::GgufFile> file,
                                                const formats::ModelConfig& config) {
  return std::make_unique<GgufWeights>(std::move(file), config);
}

}  // namespace cpx::models
