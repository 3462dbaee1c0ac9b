// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/faults.h"
#include "cpx/core/nearest.h"
#include "cpx/core/random.h"
#include "cpx/kernels/block_weight.h"
#include "cpx/models/load.h"
#include "cpx/quant/gguf_blocks.h"
#include "cpx/tensor/device.h"
#include "target_modules.h"
#include "weight_slots.h"

namespace cpx::models {

namespace {

constexpr const char* kFactorA = ".lora_A.weight";
constexpr const char* kFactorB = ".lora_B.weight";

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

// The last parts of the layers' names, without repetitions. Targets are usually given like that.
std::vector<std::string> short_names(const std::vector<NamedLinear>& layers) {
  std::vector<std::string> names;
  for (const NamedLinear& layer : layers) {
    const auto name = last_part(layer.name);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

void check_layer_targets(const std::vector<NamedLinear>& layers,
                         const std::vector<std::string>& target_modules) {
  const auto known = short_names(layers);
  const auto choice = fmt::format("expected all-linear or names among {}", fmt::join(known, ", "));
  if (target_modules.empty()) {
    throw_<ConfigError>("[attach_adapter] target_modules is empty: {}.", choice);
  }
  Faults faults;
  for (const auto& target : target_modules) {
    const bool is_found = std::any_of(layers.begin(), layers.end(), [&](const auto& layer) {
      return nn::matches_target(layer.name, target);
    });
    if (is_found) continue;
    const auto nearest = nearest_name(target, known);
    faults.add("attach_adapter", "no linear layer is called '{}': {}.{}", target, choice,
               nearest ? fmt::format(" Did you mean '{}'?", *nearest) : "");
  }
  faults.throw_if_any();
}

// Matches the factors in an adapter's file with the layers of a model.
class StoredFactors {
 public:
  explicit StoredFactors(const formats::PeftAdapter& adapter)
      : adapter_(adapter), place_(adapter.file.string()) {
    for (const auto& factor : adapter.factors) values_[factor.name] = factor.value;
  }

  // Throws unless each of `targeted` has its factors and each factor has its layer.
  void check(const std::vector<NamedLinear>& all, const std::vector<NamedLinear>& targeted) const {
    std::set<std::string> expected;
    for (const NamedLinear& layer : targeted) {
      const int64_t rank = adapter_.config.layer(layer.name).rank;
      check_factor(layer.name + kFactorA, {rank, layer.layer->options.in_features}, rank,
                   "input features");
      check_factor(layer.name + kFactorB, {layer.layer->options.out_features, rank}, rank,
                   "output features");
      expected.insert({layer.name + kFactorA, layer.name + kFactorB});
    }
    for (const auto& [name, value] : values_) {
      if (!expected.contains(name)) fail_surplus(name, all);
    }
  }

  void fill(const std::string& name, const torch::Tensor& factor) const {
    const torch::NoGradGuard no_grad;
    factor.detach().copy_(values_.at(name));
  }

 private:
  void check_factor(const std::string& name, const std::vector<int64_t>& expected, int64_t rank,
                    std::string_view features) const {
    const auto found = values_.find(name);
    if (found == values_.end()) {
      throw_<DataError>(
          "[attach_adapter] {}: '{}' is missing (adapter_config.json: target_modules {}).", place_,
          name, fmt::join(adapter_.config.target_modules, ", "));
    }
    if (found->second.sizes() != at::IntArrayRef(expected)) {
      throw_<DataError>(
          "[attach_adapter] {}: '{}' is {}, expected {} (adapter_config.json: r {}; the layer's "
          "{}).",
          place_, name, tensor::shape_text(found->second.sizes()), tensor::shape_text(expected),
          rank, features);
    }
  }

  [[noreturn]] void fail_surplus(const std::string& name,
                                 const std::vector<NamedLinear>& all) const {
    const auto layer = name.substr(0, name.find(".lora_"));
    std::vector<std::string> names;
    for (const NamedLinear& known : all) names.push_back(known.name);
    if (std::find(names.begin(), names.end(), layer) != names.end()) {
      throw_<DataError>(
          "[attach_adapter] {}: '{}' belongs to no target (adapter_config.json: target_modules "
          "{}).",
          place_, name, fmt::join(adapter_.config.target_modules, ", "));
    }
    const auto nearest = nearest_name(layer, names);
    throw_<DataError>("[attach_adapter] {}: '{}' fits no linear layer of the model.{}", place_,
                      name, nearest ? fmt::format(" The nearest is '{}'.", *nearest) : "");
  }

  const formats::PeftAdapter& adapter_;
  std::string place_;
  std::map<std::string, torch::Tensor> values_;
};

// True if both are equal after rounding to the less precise of their types.
bool is_same_weight(const torch::Tensor& stored, const torch::Tensor& own) {
  return stored.sizes() == own.sizes() && (at::equal(stored.to(own.scalar_type()), own) ||
                                           at::equal(own.to(stored.scalar_type()), stored));
}

// True if `stored` has the numbers that the blocks were made from, or those that they stand for.
bool is_same_weight(const torch::Tensor& stored, const kernels::BlockWeight& own) {
  const std::vector<int64_t> shape = {own.num_outputs(), own.num_inputs()};
  if (stored.sizes() != at::IntArrayRef(shape)) return false;
  return at::equal(quant::quantize(own.type, stored.to(at::kFloat)), own.bytes) ||
         is_same_weight(stored, kernels::dequantized(own));
}

std::map<std::string, kernels::BlockWeight> quantized_weights(const Llama& model) {
  std::map<std::string, kernels::BlockWeight> weights;
  for (const WeightSlot& slot : slots_of(model)) {
    auto blocks = slot.module->blocks_of(slot.name);
    if (blocks.is_defined()) weights.emplace(slot.key, std::move(blocks));
  }
  return weights;
}

void check_base_tensors(const Llama& model, const formats::PeftAdapter& adapter) {
  constexpr std::string_view kBaseLayer = ".base_layer";
  const auto parameters = model.named_parameters();
  const auto quantized = quantized_weights(model);
  const auto is_own = [&](const std::string& key, const torch::Tensor& stored) {
    const auto blocks = quantized.find(key);
    return blocks != quantized.end() ? is_same_weight(stored, blocks->second)
                                     : is_same_weight(stored, parameters[key].cpu());
  };
  for (const auto& stored : adapter.base_tensors) {
    std::string key = stored.name;
    const size_t position = key.find(kBaseLayer);
    if (position != std::string::npos) key.erase(position, kBaseLayer.size());
    const char* fault = !parameters.contains(key)   ? "fits no weight of the model"
                        : is_own(key, stored.value) ? nullptr
                                                    : "differs from the model's own weight";
    if (fault != nullptr) {
      throw_<DataError>(
          "[attach_adapter] {}: '{}' {}. The adapter was trained on another base ({}).",
          adapter.file.string(), stored.name, fault, adapter.config.base_model);
    }
  }
}

}  // namespace

void check_targets(const formats::ModelConfig& config,
                   const std::vector<std::string>& target_modules) {
  check_layer_targets(linear_layers(*std::make_shared<Llama>(config)), target_modules);
}

void attach_adapter(Llama& model, const nn::LoraConfig& config,
                    const std::vector<std::string>& target_modules, uint64_t seed) {
  const auto layers = linear_layers(model);
  check_layer_targets(layers, target_modules);
  for (auto& [name, index, layer] : targeted_layers(layers, target_modules)) {
    layer->attach_lora(config, mix_seed(seed, {index}), /*dropout_stream=*/index);
  }
}

void attach_adapter(Llama& model, const formats::PeftAdapter& adapter,
                    std::optional<double> dropout) {
  const auto layers = linear_layers(model);
  const auto targeted = targeted_layers(layers, adapter.config.target_modules);
  const StoredFactors factors(adapter);
  factors.check(layers, targeted);
  check_base_tensors(model, adapter);
  for (auto [name, index, layer] : targeted) {
    const formats::PeftLayer update = adapter.config.layer(name);
    const nn::LoraConfig config{.rank = update.rank,
                                .alpha = update.alpha,
                                .dropout = dropout.value_or(adapter.config.dropout),
                                .rslora = adapter.config.rslora};
    layer->attach_lora(config, /*seed=*/index, /*dropout_stream=*/index);
    factors.fill(name + kFactorA, layer->lora_A->weight);
    factors.fill(name + kFactorB, layer->lora_B->weight);
  }
}

}  // namespace cpx::models
