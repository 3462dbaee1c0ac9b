// SPDX-License-Identifier: Apache-2.0
// cpx-train --estimate: memory by part and tokens, without loading the weights.
#include <algorithm>
#include <array>
#include <iostream>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/text.h"
#include "cpx/data/globs.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"
#include "cpx/tensor/memory.h"
#include "memory_plan.h"
#include "objective.h"
#include "train_data.h"
#include "train_inputs.h"
#include "train_modes.h"

namespace cpx::recipes {

namespace {

constexpr double kMib = 1024.0 * 1024.0;
constexpr int64_t kMaxMeasuredEpochs = 5;

struct Gpu {
  std::string_view name;
  double gib;
};
// Memory that a process can have of each; the driver takes the rest.
constexpr std::array<Gpu, 3> kGpus = {
    Gpu{"A100 40 GB", 39.4}, {"A100 80 GB", 79.1}, {"H100 80 GB", 79.1}};

// What is told of the batches, and how it was found.
struct Batches {
  BatchSizes sizes;
  std::string source;
};

bool has_tokenizer(const std::filesystem::path& name) {
  const std::filesystem::path model = resolve_hub_name("model", name, "a model folder, a .gguf");
  return model.extension() == ".gguf" || std::filesystem::exists(model / "tokenizer.json") ||
         std::filesystem::exists(model / "tokenizer.model");
}

bool has_data(const TrainConfig& config) {
  Faults faults;
  return !data::expand_globs(config.data.train, faults).empty() && faults.empty();
}

// As the run will draw them.
Batches drawn_batches(const TrainConfig& config, const TrainCommand& command) {
  const auto run_data = read_train_data(
      config, std::make_shared<data::TextEncoder>(models::read_tokenizer(config.model.path),
                                                  encode_options(config, command.chat_template)));
  const TrainData& data = *run_data->train();
  const int64_t num_units = data.num_units();
  const RunLength length = run_length(config, num_units);
  const int64_t epochs =
      length.steps_per_epoch == 0
          ? 1
          : (length.total_steps + length.steps_per_epoch - 1) / length.steps_per_epoch;
  const int64_t measured = std::clamp<int64_t>(epochs, 1, kMaxMeasuredEpochs);
  const std::string not_counted =
      data.not_counted(models::model_shape(models::read_config(config.model.path)));
  return {data.measure_batches(measured),
          fmt::format("as drawn in {} of {} epochs, {} {}{}{}", measured, epochs, num_units,
                      data.unit_name(), not_counted.empty() ? "" : "\n            ", not_counted)};
}

Batches bounded_batches(const TrainConfig& config) {
  return {config.objective->batch_bound(config),
          "no data or tokenizer to measure: texts * data.max_tokens, an upper bound"};
}

void print_table(const training::MemoryEstimate& estimate) {
  for (const auto& [name, bytes] : estimate.parts()) {
    if (bytes == 0) continue;
    std::cout << fmt::format("  {:<22}{:>10.0f} MiB\n", name, static_cast<double>(bytes) / kMib);
  }
  std::cout << fmt::format("  {:<22}{:>10.0f} MiB\n", "total",
                           static_cast<double>(estimate.total()) / kMib);
}

void print_fits(const training::MemoryEstimate& none, const training::MemoryEstimate& full) {
  const auto gib = [](const training::MemoryEstimate& estimate) {
    return static_cast<double>(estimate.total()) / kMib / 1024.0;
  };
  for (const Gpu& gpu : kGpus) {
    const char* answer = gib(none) <= gpu.gib   ? "fits"
                         : gib(full) <= gpu.gib ? "fits with recompute: full"
                                                : "does not fit: fewer training.groups, or shorter "
                                                  "data.max_tokens";
    std::cout << fmt::format("  {:<22}{:>10.1f} GiB  {}\n", gpu.name, gpu.gib, answer);
  }
}

void print_for(const TrainConfig& config, const formats::ModelConfig& model, torch::Dtype dtype,
               const torch::Device& device, const BatchSizes& batches, bool with_gpus) {
  training::MemoryQuestion question = memory_question(config, model, dtype, device, batches);
  question.recompute_blocks = false;
  const training::MemoryEstimate none = training::estimate_memory(question);
  question.recompute_blocks = true;
  const training::MemoryEstimate full = training::estimate_memory(question);
  const std::string where =
      fmt::format("{} on {}", tensor::dtype_name(dtype), device.is_cpu() ? "the CPU" : "a GPU");
  if (config.training.recompute != Recompute::kFull) {
    std::cout << fmt::format("{}, recompute: none\n", where);
    print_table(none);
  }
  if (config.training.recompute != Recompute::kNone) {
    std::cout << fmt::format("{}, recompute: full\n", where);
    print_table(full);
  }
  if (with_gpus) print_fits(none, full);
}

}  // namespace

int estimate_run(const TrainCommand& command) {
  TrainConfig config = load_train_config(command.config, command.overrides, *command.objectives);
  adopt_adapter(config);
  const formats::ModelConfig model = models::read_config(config.model.path);
  models::check_targets(model, config.adapter.target_modules);
  const torch::Device device = tensor::resolve_device(command.device);

  const bool can_draw = has_tokenizer(config.model.path) && has_data(config);
  const Batches batches = can_draw ? drawn_batches(config, command) : bounded_batches(config);
  const BatchSize& largest = batches.sizes.largest;
  const nn::ModelShape shape = models::model_shape(model);
  const int64_t adapter_values =
      training::num_adapter_values(shape, config.adapter.rank, config.adapter.target_modules);
  std::cout << fmt::format("model       {}, {:.1f} M weights in matrix products\n",
                           config.model.path.string(),
                           static_cast<double>(shape.num_matmul_weights()) / 1e6);
  std::cout << fmt::format("adapter     {:.2f} M values\n",
                           static_cast<double>(adapter_values) / 1e6);
  std::cout << fmt::format(
      "micro batch {} tokens at most ({} texts, the longest {}), {:.0f} on average\n            "
      "{}\n",
      largest.tokens, largest.texts, largest.longest_text, batches.sizes.mean_tokens,
      batches.source);
  std::cout << fmt::format(
      "a step      {:.0f} tokens on average ({})\n\n",
      batches.sizes.mean_tokens * static_cast<double>(config.training.accumulate),
      counted(config.training.accumulate, "micro batch", "micro batches"));

  const auto wanted = tensor::parse_compute_dtype(config::enum_name(config.model.dtype));
  const torch::Dtype here = wanted ? *wanted : tensor::choose_compute_dtype(device);
  print_for(config, model, here, device, batches.sizes, /*with_gpus=*/device.is_cuda());
  if (device.is_cpu()) {
    const torch::Dtype there = wanted ? *wanted : torch::kBFloat16;
    std::cout << "\n";
    print_for(config, model, there, torch::Device(torch::kCUDA, 0), batches.sizes,
              /*with_gpus=*/true);
    std::cout << "  (on a GPU: computed, not run)\n";
  }
  return 0;
}

}  // namespace cpx::recipes
