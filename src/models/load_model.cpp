// SPDX-License-Identifier: Apache-2.0
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/nearest.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "key_table.h"
#include "model_path.h"
#include "weight_source.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kHead = "lm_head.weight";
// So many names of a longer list are shown.
constexpr size_t kMaxListed = 5;

// A weight to be filled in.
struct Slot {
  std::string key;
  nn::FrozenModule* module;
  std::string name;  // within the module
};

std::vector<Slot> slots_of(const Llama& model) {
  std::vector<Slot> slots;
  for (const auto& item : model.named_modules()) {
    auto* module = dynamic_cast<nn::FrozenModule*>(item.value().get());
    if (module == nullptr) continue;
    for (const auto& name : module->frozen_names()) {
      slots.push_back({fmt::format("{}.{}", item.key(), name), module, name});
    }
  }
  return slots;
}

std::string list_text(const std::vector<std::string>& names) {
  const std::vector<std::string> shown(names.begin(),
                                       names.begin() + std::min(names.size(), kMaxListed));
  const auto text = fmt::format("'{}'", fmt::join(shown, "', '"));
  return names.size() <= kMaxListed
             ? text
             : fmt::format("{} and {} more", text, names.size() - kMaxListed);
}

std::string missing_hint(const std::string& missing, const std::vector<std::string>& surplus,
                         const std::string& head_name, const formats::ModelConfig& config) {
  if (const auto nearest = nearest_name(missing, surplus)) {
    return fmt::format(" The file has '{}', which the model has no place for.", *nearest);
  }
  if (missing == head_name) {
    return fmt::format(" If the head shares the embedding, {} must say tie_word_embeddings true.",
                       config.source);
  }
  return " Is the file of this model, and complete?";
}

// Compares the names of the file with those of the model.
void check_names(const fs::path& path, const std::vector<Slot>& slots, const WeightSource& source,
                 const formats::ModelConfig& config) {
  std::set<std::string> expected;
  std::vector<std::string> missing;
  for (const Slot& slot : slots) {
    const auto name = source.name_of(slot.key);
    expected.insert(name);
    if (!source.contains(name)) missing.push_back(name);
  }
  const auto tied_head = config.tie_word_embeddings ? source.name_of(kHead) : "";
  std::vector<std::string> surplus;
  for (const auto& name : source.names()) {
    if (!expected.contains(name) && !source.is_ignored(name) && name != tied_head) {
      surplus.push_back(name);
    }
  }
  if (!missing.empty()) {
    throw_<DataError>("[load_model] {}: {} {} missing: {}.{}", path.string(), missing.size(),
                      missing.size() == 1 ? "tensor is" : "tensors are", list_text(missing),
                      missing_hint(missing.front(), surplus, source.name_of(kHead), config));
  }
  if (!surplus.empty()) {
    log_warning("[load_model] {}: {} {} not used: {}.", path.string(), surplus.size(),
                surplus.size() == 1 ? "tensor is" : "tensors are", list_text(surplus));
  }
}

// The config's keys of the dimensions that differ.
std::string size_sources(const Slot& slot, const std::vector<int64_t>& actual,
                         at::IntArrayRef expected, const formats::ModelConfig& config) {
  const auto sources = dimension_sources(slot.key, config);
  std::vector<std::string> differing;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (actual.size() != expected.size() || actual[i] != expected[i]) {
      differing.push_back(sources[i]);
    }
  }
  return fmt::format("{}", fmt::join(differing, ", "));
}

void check_shape(const Slot& slot, const WeightSource& source, const formats::ModelConfig& config) {
  const auto name = source.name_of(slot.key);
  const auto actual = source.shape(name);
  const auto expected = slot.module->named_parameters(/*recurse=*/false)[slot.name].sizes().vec();
  if (actual == expected) return;
  throw_<DataError>("[load_model] {}: '{}' is {}, expected {} ({}: {}).",
                    source.file_of(name).string(), name, tensor::shape_text(actual),
                    tensor::shape_text(expected), config.source,
                    size_sources(slot, actual, expected, config));
}

// A head beside a tied embedding is passed over, as transformers does it; not silently where it
// says something else.
void warn_of_own_head(const fs::path& path, const WeightSource& source, const Llama& model) {
  const auto name = source.name_of(kHead);
  if (!source.contains(name)) return;
  const auto& embedding = model.model->embed_tokens->weight;
  if (source.shape(name) == embedding.sizes() &&
      at::equal(source.tensor(kHead, embedding.scalar_type()), embedding.cpu())) {
    return;
  }
  log_warning(
      "[load_model] {}: '{}' differs from the embedding and is not used ({}: "
      "tie_word_embeddings is true).",
      path.string(), name, model.config().source);
}

// The weights that are read, checked against the file by name and shape.
std::vector<Slot> checked_slots(const Llama& model, const fs::path& path,
                                const WeightSource& source) {
  const auto& config = model.config();
  auto slots = slots_of(model);
  if (config.tie_word_embeddings) {
    std::erase_if(slots, [](const Slot& slot) { return slot.key == kHead; });
  }
  check_names(path, slots, source, config);
  for (const Slot& slot : slots) check_shape(slot, source, config);
  return slots;
}

void fill(Llama& model, const fs::path& path, const WeightSource& source, torch::Dtype dtype,
          const torch::Device& device) {
  for (const Slot& slot : checked_slots(model, path, source)) {
    slot.module->set_frozen(slot.name, source.tensor(slot.key, dtype).to(device));
  }
  if (model.config().tie_word_embeddings) {
    model.lm_head->set_frozen("weight", model.model->embed_tokens->weight);
    warn_of_own_head(path, source, model);
  }
}

// A model without weights, and where they are.
struct OpenModel {
  std::shared_ptr<Llama> model;
  std::unique_ptr<WeightSource> source;
};

OpenModel open_model(const fs::path& path) {
  const auto kind = model_path_kind("load_model", path);
  if (kind == ModelPathKind::kConfigFile) {
    throw_<DataError>("[load_model] {}: has no weights, expected a model folder or a .gguf.",
                      path.string());
  }
  if (kind == ModelPathKind::kFolder) {
    const auto config = formats::read_model_config(path);
    return {std::make_shared<Llama>(config),
            config.quantization ? open_quantized_weights(path, *config.quantization)
                                : open_folder_weights(path)};
  }
  const auto file = formats::GgufFile::open(path);
  const auto config = formats::read_model_config(*file);
  return {std::make_shared<Llama>(config), open_gguf_weights(file, config)};
}

}  // namespace

void check_weights(const fs::path& path) {
  const OpenModel open = open_model(path);
  checked_slots(*open.model, path, *open.source);
}

std::shared_ptr<Llama> load_model(const fs::path& path, torch::Dtype dtype,
                                  const torch::Device& device) {
  const OpenModel open = open_model(path);
  fill(*open.model, path, *open.source, dtype, device);
  return open.model;
}

}  // namespace cpx::models
