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
#include "objective.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

// A fresh adapter's B matrices are zero: it changes nothing.
bool changes_the_base(const models::Llama& model) {
  return std::ranges::any_of(model.trainable(), [](const nn::NamedParameter& parameter) {
    return parameter.name.find(".lora_B.") != std::string::npos &&
           parameter.value.detach().count_nonzero().item<int64_t>() > 0;
  });
}

// The folder of the reference's adapter; none: the base.
std::optional<fs::path> reference_adapter(const TrainConfig& config, const ReferenceKeys& keys,
                                          const models::Llama& trained) {
  if (keys.reference_adapter) return keys.reference_adapter;
  if (config.adapter.init_from && changes_the_base(trained)) return config.adapter.init_from;
  return std::nullopt;
}

std::string describe(const ReferenceKeys& keys, const std::optional<fs::path>& adapter) {
  if (!adapter) return "the base model (the adapter starts at zero)";
  if (keys.reference_adapter) {
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

std::shared_ptr<training::NllCache> make_cache(const TrainConfig& config, const ReferenceKeys& keys,
                                               const models::Llama& trained,
                                               const std::optional<fs::path>& adapter) {
  if (!keys.cache_reference) return nullptr;
  return std::make_shared<training::NllCache>(
      keys.reference_cache.value_or(config.training.output / "reference_nll.bin"),
      cache_key(config, trained, adapter));
}

}  // namespace

void ReferenceKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("reference_adapter", reference_adapter,
              "A PEFT folder, or owner/name of the cache, that makes the reference; null: the "
              "adapter as it starts, which is the base model for a fresh one");
  visit.field("cache_reference", cache_reference,
              "Keeps the reference's log-probabilities on disk: later epochs and runs read them",
              {.free_on_resume = true});
  visit.field("reference_cache", reference_cache,
              "File of the cache, which several runs may share; null: reference_nll.bin in "
              "training.output",
              {.free_on_resume = true});
}

void ReferenceKeys::check(ConfigFaults& faults) const {
  if (cache_reference || !reference_cache) return;
  faults.add("objective.reference_cache", "got '{}' beside cache_reference false, expected null.",
             reference_cache->string());
}

std::shared_ptr<training::NllCache> make_base_cache(const TrainConfig& config,
                                                    const models::Llama& trained) {
  const RetainKeys* keys = config.objective->retain_keys();
  if (keys == nullptr || !keys->cache_base) return nullptr;
  if (keys->retain == 0 && !config.objective->needs_base()) return nullptr;
  return std::make_shared<training::NllCache>(
      keys->base_cache.value_or(config.training.output / "base_nll.bin"),
      cache_key(config, trained, /*adapter=*/std::nullopt));
}

ReferenceModel make_reference(const TrainConfig& config, const models::Llama& trained) {
  const auto keys = config.objective->reference();
  if (!keys) return {};
  const auto adapter = reference_adapter(config, *keys, trained);
  ReferenceModel made;
  if (adapter) {
    made.model = models::with_same_weights(trained);
    models::attach_adapter(*made.model, formats::read_peft(*adapter), /*dropout=*/0.0);
    made.reference.policy.model = made.model.get();
  }
  made.reference.cache = make_cache(config, *keys, trained, adapter);
  made.description = describe(*keys, adapter);
  return made;
}

}  // namespace cpx::recipes
