// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>

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

bool can_stay_in_file(const formats::GgufTensor& stored, torch::Dtype dtype) {
  const auto address = reinterpret_cast<uintptr_t>(stored.bytes.data());
  // Small ones are copied: one view would keep the whole file mapped.
  return plain_dtype(stored.type) == dtype && stored.shape.size() > 1 &&
         address % c10::elementSize(dtype) == 0;
}

torch::Tensor view_of(const formats::GgufTensor& stored, torch::Dtype dtype,
                      std::shared_ptr<const formats::GgufFile> file) {
  // LibTorch has no read-only tensors; frozen weights are never written to.
  return at::from_blob(
      const_cast<std::byte*>(stored.bytes.data()), stored.shape, [kept = std::move(file)](void*) {},
      at::dtype(dtype));
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

  std::vector<int64_t> shape(const std::string& name) const override { return find(name).shape; }
  std::filesystem::path file_of(const std::string&) const override { return file_->path(); }

  torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const override {
    const formats::GgufTensor& stored = find(gguf_name(key));
    const auto value = can_stay_in_file(stored, dtype)
                           ? view_of(stored, dtype, file_)
                           : quant::dequantize(stored.type, stored.bytes, stored.shape, dtype);
    const int64_t num_heads = num_permuted_heads(key, config_);
    return num_heads > 0 ? unpermuted(value, num_heads) : value;
  }

  // Read with the config.
  bool is_ignored(const std::string& name) const override { return name == "rope_freqs.weight"; }

 private:
  const formats::GgufTensor& find(const std::string& name) const {
    const auto* tensor = file_->find_tensor(name);
    CPX_CHECK(tensor != nullptr, "[gguf_weights] {}: has no tensor '{}'.", file_->path().string(),
              name);
    return *tensor;
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
