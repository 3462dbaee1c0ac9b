// SPDX-License-Identifier: Apache-2.0
#include "reference_model.h"

#include <algorithm>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "fingerprint.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

bool has_reference(const ObjectiveOptions& objective) {
  return std::holds_alternative<DpoOptions>(objective) ||
         std::holds_alternative<PpoOptions>(objective);
}

// A fresh adapter's B matrices are zero: it changes nothing.
bool changes_the_base(const models::Llama& model) {
  return std::ranges::any_of(model.trainable(), [](const nn::NamedParameter& parameter) {
    return parameter.name.find(".lora_B.") != std::string::npos &&
           parameter.value.detach().count_nonzero().item<int64_t>() > 0;
  });
}

// The folder of the reference's adapter; none: the base.
std::optional<fs::path> reference_adapter(const TrainConfig& config, const models::Llama& trained) {
  const auto* dpo = std::get_if<DpoOptions>(&config.objective);
  if (dpo != nullptr && dpo->reference_adapter) return dpo->reference_adapter;
  if (config.adapter.init_from && changes_the_base(trained)) return config.adapter.init_from;
  return std::nullopt;
}

std::string describe(const TrainConfig& config, const std::optional<fs::path>& adapter) {
  if (!adapter) return "the base model (the adapter starts at zero)";
  const auto* dpo = std::get_if<DpoOptions>(&config.objective);
  if (dpo != nullptr && dpo->reference_adapter) {
    return fmt::format("the base model with the adapter {}", adapter->string());
  }
  return fmt::format("a frozen copy of the adapter that training starts from ({})",
                     adapter->string());
}

// What numbers by frozen weights depend on besides the texts. What is in the texts (data, template,
// tokenizer, limits, EOS) is in their ids.
training::Fingerprints cache_key(const TrainConfig& config, const models::Llama& trained,
                                 const std::optional<fs::path>& adapter) {
  return {{"model", model_fingerprint(config.model.path)},
          {"adapter", adapter ? file_fingerprint(formats::peft_weights_file(*adapter)) : "none"},
          {"compute type", std::string(tensor::dtype_name(trained.dtype()))},
          {"quantization", std::string(config::enum_name(config.model.quantization))},
          {"device", trained.device().is_cpu() ? "cpu" : "cuda"}};
}

std::shared_ptr<training::NllCache> make_cache(const TrainConfig& config,
                                               const models::Llama& trained,
                                               const std::optional<fs::path>& adapter) {
  // What PPO samples is new each time.
  const auto* dpo = std::get_if<DpoOptions>(&config.objective);
  if (dpo == nullptr || !dpo->cache_reference) return nullptr;
  return std::make_shared<training::NllCache>(
      dpo->reference_cache.value_or(config.training.output / "reference_nll.bin"),
      cache_key(config, trained, adapter));
}

bool needs_base(const TrainConfig& config) {
  const RetainKeys* keys = retain_keys(config.objective);
  if (keys != nullptr && keys->retain > 0) return true;
  const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config.objective);
  return contrast != nullptr && (contrast->centroid == CentroidKind::kBase || contrast->hold > 0);
}

}  // namespace

std::shared_ptr<training::NllCache> make_base_cache(const TrainConfig& config,
                                                    const models::Llama& trained) {
  const RetainKeys* keys = retain_keys(config.objective);
  if (!needs_base(config) || !keys->cache_base) return nullptr;
  return std::make_shared<training::NllCache>(
      keys->base_cache.value_or(config.training.output / "base_nll.bin"),
      cache_key(config, trained, /*adapter=*/std::nullopt));
}

ReferenceModel make_reference(const TrainConfig& config, const models::Llama& trained) {
  if (!has_reference(config.objective)) return {};
  const auto adapter = reference_adapter(config, trained);
  ReferenceModel made;
  if (adapter) {
    made.model = models::with_same_weights(trained);
    models::attach_adapter(*made.model, formats::read_peft(*adapter), /*dropout=*/0.0);
    made.reference.policy.model = made.model.get();
  }
  made.reference.cache = make_cache(config, trained, adapter);
  made.description = describe(config, adapter);
  return made;
}

}  // namespace cpx::recipes
