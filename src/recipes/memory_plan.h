// SPDX-License-Identifier: Apache-2.0
// The memory that a run takes.
#pragma once

#include <cstdint>

#include "cpx/formats/model_config.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/memory_estimate.h"
#include "train_data.h"

namespace cpx::recipes {

/// The question to training::estimate_memory() for this run.
training::MemoryQuestion memory_question(const TrainConfig& config,
                                         const formats::ModelConfig& model, torch::Dtype dtype,
                                         const torch::Device& device, const BatchSizes& batches);

/// Decides `training.recompute`; `auto` asks whether the run fits into `available_bytes`.
bool decide_recompute(const TrainConfig& config, const formats::ModelConfig& model,
                      torch::Dtype dtype, const torch::Device& device, const TrainData& data,
                      int64_t available_bytes);

}  // namespace cpx::recipes
