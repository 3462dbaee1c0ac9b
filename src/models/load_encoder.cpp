// SPDX-License-Identifier: Apache-2.0
#include "load_encoder.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "encoder_keys.h"
#include "weight_slots.h"
#include "weight_source.h"

namespace cpx::models {

namespace {

// A file of a body alone has its names without the family's prefix.
std::string_view body_prefix(const EncoderKeys& keys, const WeightSource& source) {
  const auto name = encoder_name_of(keys, keys.body, "embeddings.word_embeddings.weight");
  const auto bare = encoder_name_of(keys, "", "embeddings.word_embeddings.weight");
  return !source.contains(name) && source.contains(bare) ? std::string_view() : keys.body;
}

// The names of an encoder's weights, which old files spell as TensorFlow did.
std::string stored_name(const EncoderKeys& keys, std::string_view body, const WeightSource& source,
                        const std::string& key) {
  const std::string name = encoder_name_of(keys, body, key);
  if (source.contains(name)) return name;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kOldEndings = {
      {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}};
  for (const auto& [ending, old_ending] : kOldEndings) {
    if (!name.ends_with(ending)) continue;
    const auto old = name.substr(0, name.size() - ending.size()) + std::string(old_ending);
    if (source.contains(old)) return old;
  }
  return name;
}

// Tensors that transformers stores but the model does not need; without a head all of a head.
bool is_of_no_use(const Encoder& model, std::string_view name) {
  if (name.ends_with("embeddings.position_ids")) return true;
  if (name.find("pooler.") != std::string_view::npos) return true;
  constexpr std::string_view kHeads[] = {"classifier.", "pre_classifier.", "cls.", "lm_head.",
                                         "vocab_"};
  return !model.head &&
         std::ranges::any_of(kHeads, [&](std::string_view head) { return name.starts_with(head); });
}

NameRules encoder_name_rules(const Encoder& model, const EncoderKeys& keys) {
  const std::string_view family = formats::encoder_config_keys(keys.family).name;
  return {
      .missing_hint = [family, &keys](const std::string& missing) -> std::string {
        if (!missing.starts_with(keys.head_dense) && !missing.starts_with(keys.head_output)) {
          return {};
        }
        return fmt::format(
            "The folder holds {} without a classification head: is it a classifier's?", family);
      },
      .is_passed_over = [&model](const std::string& name) { return is_of_no_use(model, name); }};
}

}  // namespace

std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& folder,
                                      const formats::EncoderConfig& config,
                                      std::optional<int64_t> num_labels,
                                      const torch::Device& device) {
  auto model = std::make_shared<Encoder>(config, num_labels);
  const EncoderKeys& keys = encoder_keys(config.family);
  auto files = open_folder_weights(folder);
  const auto body = body_prefix(keys, *files);
  const auto source = with_names(std::move(files),
                                 [&keys, body](const WeightSource& stored, const std::string& key) {
                                   return stored_name(keys, body, stored, key);
                                 });
  const auto slots = slots_of(*model);
  check_names(folder, slots, *source, encoder_name_rules(*model, keys));
  for (const WeightSlot& slot : slots) {
    check_shape(slot, *source, "config.json",
                encoder_dimension_sources(slot.key, config, num_labels.value_or(0)));
  }
  fill_slots(slots, *source, at::kFloat, device);
  return model;
}

}  // namespace cpx::models
