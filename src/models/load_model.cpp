// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"
#include "key_table.h"
#include "model_path.h"
#include "weight_slots.h"
#include "weight_source.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

using tensor::StorageType;

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

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

// A head that is stored beside a tied embedding is ignored, as in transformers; log a warning if it
// differs from the embedding.
void warn_of_own_head(const fs::path& path, const WeightSource& source, const Llama& model) {
  const auto name = source.name_of(kHead);
  if (!source.contains(name)) return;
  const auto& table = *model.model->embed_tokens;
  const auto embedding =
      table.blocks.is_defined() ? kernels::dequantized(table.blocks) : table.weight;
  if (source.shape(name) == embedding.sizes() &&
      at::equal(source.tensor(kHead, embedding.scalar_type()), embedding.cpu())) {
    return;
  }
  log_warning(
      "[load_model] {}: '{}' differs from the embedding and is not used ({}: "
      "tie_word_embeddings is true).",
      path.string(), name, model.config().source);
}

// The weights to read, after their names and shapes were checked against the file.
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

// In which form weights are loaded.
struct LoadedForm {
  torch::Dtype dtype;
  torch::Device device;
  WeightFormat format = WeightFormat::kFloat32;  // without quantised weights all are in `dtype`
};

// The block type for a weight; nullopt: it is loaded dense.
std::optional<StorageType> block_type(const WeightSlot& slot, const WeightSource& source,
                                      WeightFormat format) {
  if (!slot.module->can_be_blocks(slot.name)) return std::nullopt;
  if (format == WeightFormat::kAuto) return source.block_type(slot.key);
  const bool is_dense = format != WeightFormat::kQ8_0 && format != WeightFormat::kQ4_0;
  const int64_t row = source.shape(source.name_of(slot.key)).back();
  if (is_dense || row % tensor::storage_layout(StorageType::kQ8_0).elements != 0) return {};
  const bool is_of_vocabulary = slot.key == kHead || slot.key == kEmbedding;
  return format == WeightFormat::kQ4_0 && !is_of_vocabulary ? StorageType::kQ4_0
                                                            : StorageType::kQ8_0;
}

void tie_head(Llama& model) {
  const auto& table = *model.model->embed_tokens;
  if (table.blocks.is_defined()) {
    model.lm_head->set_frozen("weight", table.blocks);
  } else {
    model.lm_head->set_frozen("weight", table.weight);
  }
}

void fill(Llama& model, const fs::path& path, const WeightSource& source, const LoadedForm& form) {
  for (const WeightSlot& slot : checked_slots(model, path, source)) {
    if (const auto type = block_type(slot, source, form.format)) {
      slot.module->set_frozen(slot.name, source.blocks(slot.key, *type));
    } else {
      slot.module->set_frozen(slot.name, source.tensor(slot.key, form.dtype).to(form.device));
    }
  }
  if (model.config().tie_word_embeddings) {
    tie_head(model);
    warn_of_own_head(path, source, model);
  }
}

// A model without its weights, and the source of these.
struct OpenModel {
  std::shared_ptr<Llama> model;
  std::unique_ptr<WeightSource> source;
};

OpenModel open_model(const fs::path& name) {
  const auto [kind, path] = model_place("load_model", name);
  if (kind == ModelPathKind::kConfigFile) {
    throw_<DataError>("[load_model] {}: has no weights, expected a model folder or a .gguf.",
                      name.string());
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

// True where a matrix is stored quantised.
bool has_blocks(const OpenModel& open) {
  return std::ranges::any_of(slots_of(*open.model), [&](const WeightSlot& slot) {
    return open.source->contains(open.source->name_of(slot.key)) &&
           slot.module->can_be_blocks(slot.name) && open.source->block_type(slot.key);
  });
}

void check_form(WeightFormat format, torch::Dtype dtype, const torch::Device& device) {
  const auto check_dtype = [&](std::string_view name, torch::Dtype expected) {
    if (dtype == expected) return;
    throw_<ConfigError>("[weights] {}: got dtype {}, expected auto or {}.", name,
                        tensor::dtype_name(dtype), tensor::dtype_name(expected));
  };
  if (format == WeightFormat::kFloat32) check_dtype("float32", torch::kFloat32);
  if (format == WeightFormat::kBFloat16) check_dtype("bfloat16", torch::kBFloat16);
  if (format != WeightFormat::kQ8_0 && format != WeightFormat::kQ4_0) return;
  const auto name = format == WeightFormat::kQ8_0 ? "q8_0" : "q4_0";
  check_dtype(name, torch::kFloat32);
  if (!device.is_cpu()) {
    throw_<ConfigError>("[weights] {}: got device {}, expected cpu.", name, device.str());
  }
}

}  // namespace

void check_weights(const fs::path& path) {
  const OpenModel open = open_model(path);
  checked_slots(*open.model, path, *open.source);
}

std::shared_ptr<Llama> load_model(const fs::path& path, torch::Dtype dtype,
                                  const torch::Device& device) {
  const OpenModel open = open_model(path);
  fill(*open.model, path, *open.source, {.dtype = dtype, .device = device});
  return open.model;
}

WeightFormat parse_weight_format(std::string_view name) {
  if (name == "auto") return WeightFormat::kAuto;
  if (name == "float32") return WeightFormat::kFloat32;
  if (name == "bfloat16") return WeightFormat::kBFloat16;
  if (name == "q8_0") return WeightFormat::kQ8_0;
  if (name == "q4_0") return WeightFormat::kQ4_0;
  throw_<ConfigError>(
      "[weights] unknown format: got '{}', expected auto, float32, bfloat16, q8_0 or q4_0.", name);
}

torch::Dtype decoding_dtype(const fs::path& path, WeightFormat format,
                            const torch::Device& device) {
  if (format == WeightFormat::kBFloat16) return torch::kBFloat16;
  if (format != WeightFormat::kAuto) return torch::kFloat32;
  const bool is_quantized = device.is_cpu() && has_blocks(open_model(path));
  return is_quantized ? torch::kFloat32 : tensor::choose_compute_dtype(device);
}

std::shared_ptr<Llama> load_for_decoding(const fs::path& path, WeightFormat format,
                                         torch::Dtype dtype, const torch::Device& device) {
  check_form(format, dtype, device);
  if (format == WeightFormat::kAuto && (dtype != torch::kFloat32 || !device.is_cpu())) {
    return load_model(path, dtype, device);
  }
  const OpenModel open = open_model(path);
  fill(*open.model, path, *open.source, {.dtype = dtype, .device = device, .format = format});
  return open.model;
}

std::string weight_types(const Llama& model) {
  std::set<std::string> types;
  for (const WeightSlot& slot : slots_of(model)) {
    if (!slot.module->can_be_blocks(slot.name)) continue;
    const auto blocks = slot.module->blocks_of(slot.name);
    types.insert(blocks.is_defined() ? std::string(tensor::storage_layout(blocks.type).name)
                                     : tensor::dtype_name(model.dtype()));
  }
  return fmt::format("{}", fmt::join(types, " + "));
}

std::shared_ptr<Llama> with_same_weights(const Llama& model) {
  auto twin = std::make_shared<Llama>(model.config());
  const auto from = slots_of(model);
  const auto to = slots_of(*twin);
  for (size_t i = 0; i < from.size(); ++i) {
    if (auto blocks = from[i].module->blocks_of(from[i].name); blocks.is_defined()) {
      to[i].module->set_frozen(to[i].name, std::move(blocks));
    } else {
      to[i].module->set_frozen(to[i].name,
                               from[i].module->named_parameters(/*recurse=*/false)[from[i].name]);
    }
  }
  return twin;
}

}  // namespace cpx::models
