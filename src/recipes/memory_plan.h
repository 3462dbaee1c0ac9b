// SPDX-License-Identifier: Apache-2.0
// How large a run's micro batches get, and the memory that follows.
#pragma once

#include <cstdint>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/text_encoder.h"
#include "cpx/formats/model_config.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/memory_estimate.h"

namespace cpx::recipes {

/// The micro batch with the most tokens.
struct BatchSize {
  int64_t tokens = 0;
  int64_t texts = 0;
  int64_t longest_text = 0;
};

/// Tokens of an average micro batch, the largest one, and with how many different numbers of rows
/// half types on the CPU compute (kernels::rounded_rows).
struct BatchSizes {
  BatchSize largest;
  double mean_tokens = 0.0;
  int64_t num_row_counts = 1;
};

/// Sizes of the micro batches of the first `num_epochs` epochs, as they will be drawn.
BatchSizes measure_batches(const TrainConfig& config, const data::ContrastGroups& groups,
                           const data::TextEncoder& encoder, int64_t num_epochs);

/// What no micro batch can exceed: every text as long as data.max_tokens.
BatchSizes batch_bound(const TrainConfig& config);

/// The question to training::estimate_memory() for this run.
training::MemoryQuestion memory_question(const TrainConfig& config,
                                         const formats::ModelConfig& model, torch::Dtype dtype,
                                         const torch::Device& device, const BatchSizes& batches);

/// Decides `training.recompute`; `auto` asks whether the run fits into `available_bytes`.
bool decide_recompute(const TrainConfig& config, const formats::ModelConfig& model,
                      torch::Dtype dtype, const torch::Device& device,
                      const data::ContrastGroups& groups, const data::TextEncoder& encoder,
                      int64_t available_bytes);

}  // namespace cpx::recipes
