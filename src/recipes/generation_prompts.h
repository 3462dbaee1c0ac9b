// SPDX-License-Identifier: Apache-2.0
// The prompts of training.save_samples as the model sees them.
#pragma once

#include <memory>
#include <string>

#include "cpx/core/faults.h"
#include "cpx/data/text_encoder.h"
#include "cpx/formats/model_config.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/generations.h"

namespace cpx::recipes {

/// What is written, and what is wrong with the prompts.
struct ReadPrompts {
  training::GenerationOptions options = {};
  Faults faults = {};
};

/// Reads training.save_samples.prompts and training.save_samples.prompt_file, puts the prompts into
/// the encoder's template, and compares their lengths with the context of `model`.
ReadPrompts read_generation_prompts(const TrainConfig& config, const data::TextEncoder& encoder,
                                    const formats::ModelConfig& model);

/// What writes the run's texts; null where none are wanted. `encoder` must outlive it. Throws
/// DataError with the first fault and how many follow.
std::unique_ptr<training::Generations> make_generations(const TrainConfig& config,
                                                        const data::TextEncoder& encoder);

/// "2 prompts of at most 9 tokens, 64 new ones; every 50 steps", for --validate.
std::string generation_line(const TrainConfig& config, const training::GenerationOptions& options);

}  // namespace cpx::recipes
