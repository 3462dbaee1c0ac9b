// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/formats/model_folder.h"
#include "cpx/quant/awq.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/quant/gptq.h"
#include "weight_source.h"

namespace cpx::models {

namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kWords = ".qweight";

// "a.b" for "a.b.weight" and ".weight"; empty where the name ends otherwise.
std::string layer_of(std::string_view name, std::string_view ending) {
  if (!name.ends_with(ending)) return {};
  return std::string(name.substr(0, name.size() - ending.size()));
}

class QuantizedWeights : public WeightSource {
 public:
  QuantizedWeights(const std::filesystem::path& folder, const formats::QuantizationConfig& config)
      : config_(config), folder_(folder), plain_(open_folder_weights(folder)) {}

  std::string name_of(const std::string& key) const override { return key; }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& name : folder_.names()) {
      if (const auto layer = layer_of(name, kWords); !layer.empty()) {
        names.push_back(fmt::format("{}{}", layer, kWeight));
      } else if (!is_part(name)) {
        names.push_back(name);
      }
    }
    return names;
  }

  bool contains(const std::string& name) const override {
    return is_quantized(name) || plain_->contains(name);
  }

  std::vector<int64_t> shape(const std::string& name) const override {
    if (!is_quantized(name)) return plain_->shape(name);
    return is_gptq() ? quant::gptq_shape(stored(name), gptq_format())
                     : quant::awq_shape(stored(name), awq_format());
  }

  std::filesystem::path file_of(const std::string& name) const override {
    return is_quantized(name) ? folder_.file_of(words_of(name)).path() : plain_->file_of(name);
  }

  torch::Tensor tensor(const std::string& key, torch::Dtype dtype) const override {
    if (!is_quantized(key)) return plain_->tensor(key, dtype);
    return is_gptq() ? quant::dequantize_gptq(stored(key), gptq_format(), dtype)
                     : quant::dequantize_awq(stored(key), awq_format(), dtype);
  }

  // These layers become dense.
  std::optional<tensor::StorageType> block_type(const std::string&) const override { return {}; }

  kernels::BlockWeight blocks(const std::string& key, tensor::StorageType type) const override {
    if (!is_quantized(key)) return plain_->blocks(key, type);
    return kernels::block_weight(type, quant::quantize(type, tensor(key, torch::kFloat32)));
  }

  // Old quantisers gave every layer a bias, all zeros if the model has none.
  bool is_ignored(const std::string& name) const override {
    if (plain_->is_ignored(name)) return true;
    const auto layer = layer_of(name, ".bias");
    return folder_.contains(fmt::format("{}{}", layer, kWords)) &&
           folder_.tensor(name).count_nonzero().item<int64_t>() == 0;
  }

 private:
  static std::string words_of(const std::string& name) {
    return fmt::format("{}{}", layer_of(name, kWeight), kWords);
  }

  bool is_quantized(const std::string& name) const {
    return name.ends_with(kWeight) && folder_.contains(words_of(name));
  }

  // A tensor that belongs to a layer's qweight.
  bool is_part(const std::string& name) const {
    for (const std::string_view ending : {".qzeros", ".scales", ".g_idx"}) {
      const auto layer = layer_of(name, ending);
      if (!layer.empty() && folder_.contains(fmt::format("{}{}", layer, kWords))) return true;
    }
    return false;
  }

  quant::GroupedWeight stored(const std::string& name) const {
    const auto layer = layer_of(name, kWeight);
    const auto part = [&](const char* ending) {
      const auto part_name = fmt::format("{}.{}", layer, ending);
      return folder_.contains(part_name) ? folder_.tensor(part_name) : torch::Tensor();
    };
    return {.file = file_of(name).string(),
            .layer = layer,
            .qweight = part("qweight"),
            .qzeros = part("qzeros"),
            .scales = part("scales"),
            .g_idx = part("g_idx")};
  }

  bool is_gptq() const { return config_.method == "gptq"; }

  quant::GptqFormat gptq_format() const {
    return {.bits = config_.bits,
            .group_size = config_.group_size,
            .has_zeros_less_one = config_.has_zeros_less_one,
            .has_inputs_reordered = config_.desc_act};
  }

  quant::AwqFormat awq_format() const {
    return {.bits = config_.bits, .group_size = config_.group_size};
  }

  formats::QuantizationConfig config_;
  formats::ModelFolder folder_;
  std::unique_ptr<WeightSource> plain_;
};

}  // namespace

std::unique_ptr<WeightSource> open_quantized_weights(const std::filesystem::path& folder,
                                                     const formats::QuantizationConfig& config) {
  return std::make_unique<QuantizedWeights>(folder, config);
}

}  // namespace cpx::models
