// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/models/load.h"
#include "key_table.h"
#include "model_path.h"
#include "weight_slots.h"
#include "weight_source.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kHead = "lm_head.weight";

NameRules name_rules(const WeightSource& source, const formats::ModelConfig& config) {
  const auto head = source.name_of(kHead);
  return {.missing_hint = [head, config](const std::string& missing) -> std::string {
            if (missing != head) return {};
            return fmt::format(
                "If the head shares the embedding, {} must say tie_word_embeddings true.",
                config.source);
          },
          .is_passed_over = [head, is_tied = config.tie_word_embeddings](
                                const std::string& name) { return is_tied && name == head; }};
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
std::vector<WeightSlot> checked_slots(const Llama& model, const fs::path& path,
                                      const WeightSource& source) {
  const auto& config = model.config();
  auto slots = slots_of(model);
  if (config.tie_word_embeddings) {
    std::erase_if(slots, [](const WeightSlot& slot) { return slot.key == kHead; });
  }
  check_names(path, slots, source, name_rules(source, config));
  for (const WeightSlot& slot : slots) {
    check_shape(slot, source, config.source, dimension_sources(slot.key, config));
  }
  return slots;
}

void fill(Llama& model, const fs::path& path, const WeightSource& source, torch::Dtype dtype,
          const torch::Device& device) {
  for (const WeightSlot& slot : checked_slots(model, path, source)) {
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
    return {std::make_shared<Llama>(formats::read_model_config(path)), open_folder_weights(path)};
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
