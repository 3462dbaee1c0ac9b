// SPDX-License-Identifier: Apache-2.0
#include "memory_plan.h"

#include <filesystem>

#include "cpx/core/hub.h"
#include "cpx/models/llama.h"
#include "objective.h"

namespace cpx::recipes {

namespace {

// Bytes of the files beside which the weights stand once more in the compute type.
int64_t mapped_bytes(const std::filesystem::path& name, const formats::ModelConfig& config,
                     torch::Dtype dtype) {
  const std::filesystem::path model = resolve_hub_name("model", name, "a model folder, a .gguf");
  const bool is_gguf = model.extension() == ".gguf";
  const std::string computed = dtype == torch::kFloat32 ? "float32" : "bfloat16";
  if (!is_gguf && config.stored_dtype == computed && !config.quantization) return 0;
  if (is_gguf) return static_cast<int64_t>(std::filesystem::file_size(model));
  int64_t bytes = 0;
  if (!std::filesystem::is_directory(model)) return 0;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") {
      bytes += static_cast<int64_t>(entry.file_size());
    }
  }
  return bytes;
}

}  // namespace

training::MemoryQuestion memory_question(const TrainConfig& config,
                                         const formats::ModelConfig& model, torch::Dtype dtype,
                                         const torch::Device& device, const BatchSizes& batches) {
  const BatchSize& batch = batches.largest;
  return {.shape = models::model_shape(model),
          .has_tied_embeddings = model.tie_word_embeddings,
          .dtype = dtype,
          .is_on_cpu = device.is_cpu(),
          .rank = config.adapter.rank,
          .target_modules = config.adapter.target_modules,
          .dropout = config.adapter.dropout,
          .has_8bit_optimizer = config.optimizer.has_8bit_state(),
          .num_tokens = batch.tokens,
          .num_texts = batch.texts,
          .longest_text = batch.longest_text,
          .num_row_counts = batches.num_row_counts,
          .recompute_blocks = config.training.recompute == Recompute::kFull,
          .holds_distributions = config.objective->holds_distributions(),
          .mapped_file_bytes = device.is_cpu() ? mapped_bytes(config.model.path, model, dtype) : 0};
}

bool decide_recompute(const TrainConfig& config, const formats::ModelConfig& model,
                      torch::Dtype dtype, const torch::Device& device, const TrainData& data,
                      int64_t available_bytes) {
  if (config.training.recompute != Recompute::kAuto) {
    return config.training.recompute == Recompute::kFull;
  }
  const auto asks = [&](const BatchSizes& batches) {
    return training::should_recompute(memory_question(config, model, dtype, device, batches),
                                      available_bytes);
  };
  // The bound is cheap; only where it does not fit are the texts looked at.
  if (!asks(config.objective->batch_bound(config))) return false;
  return asks(data.measure_batches(/*num_epochs=*/1));
}

}  // namespace cpx::recipes
