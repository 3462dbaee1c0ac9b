// SPDX-License-Identifier: Apache-2.0
#include "memory_plan.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "cpx/kernels/row_rounding.h"
#include "cpx/models/llama.h"
#include "train_inputs.h"

namespace cpx::recipes {

namespace {

// Lengths of texts by address; a text is encoded once however often it is drawn.
class TextLengthCache {
 public:
  explicit TextLengthCache(const data::TextEncoder& encoder) : encoder_(encoder) {}

  int64_t of(const std::string& text) {
    const auto [found, is_new] = lengths_.try_emplace(&text, 0);
    if (is_new) found->second = static_cast<int64_t>(encoder_.encode(text).ids.size());
    return found->second;
  }

 private:
  const data::TextEncoder& encoder_;
  std::map<const std::string*, int64_t> lengths_;
};

int64_t texts_in_a_group(const data::GroupOptions& options) {
  return options.num_positives + options.num_hard_negatives + options.num_random_negatives;
}

// Rows that `tokens` are computed with in half types on the CPU.
int64_t rows_in_half_types(int64_t tokens) {
  return kernels::rounded_rows(tokens, torch::kBFloat16, torch::kCPU);
}

// Bytes of the files beside which the weights stand once more in the compute type.
int64_t mapped_bytes(const std::filesystem::path& model, const formats::ModelConfig& config,
                     torch::Dtype dtype) {
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

BatchSizes measure_batches(const TrainConfig& config, const data::ContrastGroups& groups,
                           const data::TextEncoder& encoder, int64_t num_epochs) {
  TextLengthCache lengths(encoder);
  BatchSizes sizes;
  int64_t total = 0;
  int64_t num_batches = 0;
  std::set<int64_t> row_counts;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = groups.epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      BatchSize batch;
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config.training.groups));
      for (; begin < end; ++begin) {
        for (const data::DrawnText& drawn : groups.draw(order[begin], epoch).texts) {
          const int64_t length = lengths.of(groups.text(drawn));
          batch.tokens += length;
          batch.texts += 1;
          batch.longest_text = std::max(batch.longest_text, length);
        }
      }
      total += batch.tokens;
      ++num_batches;
      row_counts.insert(rows_in_half_types(batch.tokens - batch.texts));
      if (batch.tokens > sizes.largest.tokens) sizes.largest = batch;
    }
  }
  sizes.mean_tokens =
      static_cast<double>(total) / static_cast<double>(std::max<int64_t>(1, num_batches));
  sizes.num_row_counts = std::ssize(row_counts);
  return sizes;
}

BatchSizes batch_bound(const TrainConfig& config) {
  const int64_t texts = config.training.groups * texts_in_a_group(group_options(config));
  const int64_t tokens = texts * config.data.max_tokens;
  return {.largest = {.tokens = tokens, .texts = texts, .longest_text = config.data.max_tokens},
          .mean_tokens = static_cast<double>(tokens),
          .num_row_counts = rows_in_half_types(tokens) / rows_in_half_types(1)};
}

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
          .num_tokens = batch.tokens,
          .num_texts = batch.texts,
          .longest_text = batch.longest_text,
          .num_row_counts = batches.num_row_counts,
          .recompute_blocks = config.training.recompute == Recompute::kFull,
          .mapped_file_bytes = device.is_cpu() ? mapped_bytes(config.model.path, model, dtype) : 0};
}

bool decide_recompute(const TrainConfig& config, const formats::ModelConfig& model,
                      torch::Dtype dtype, const torch::Device& device,
                      const data::ContrastGroups& groups, const data::TextEncoder& encoder,
                      int64_t available_bytes) {
  if (config.training.recompute != Recompute::kAuto) {
    return config.training.recompute == Recompute::kFull;
  }
  const auto asks = [&](const BatchSizes& batches) {
    return training::should_recompute(memory_question(config, model, dtype, device, batches),
                                      available_bytes);
  };
  // The bound is cheap; only where it does not fit are the texts looked at.
  if (!asks(batch_bound(config))) return false;
  return asks(measure_batches(config, groups, encoder, /*num_epochs=*/1));
}

}  // namespace cpx::recipes
