// SPDX-License-Identifier: Apache-2.0
// The plain texts of data.retain.
#pragma once

#include <string>
#include <vector>

#include "batch_sizes.h"
#include "cpx/core/faults.h"
#include "cpx/data/text_encoder.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/retain_step.h"

namespace cpx::recipes {

struct RetainedTexts {
  size_t num_files = 0;
  std::vector<training::RetainedText> texts = {};
};

/// Reads the files of data.retain; what is wrong with them is added to `faults`.
RetainedTexts load_retained(const TrainConfig& config, Faults& faults);

/// Number and hash of the texts.
std::string retained_fingerprint(const RetainedTexts& retained);

/// Sizes of the passes over retained texts, `texts_per_batch` in each: the largest holds the
/// longest ones.
BatchSizes retained_sizes(const RetainedTexts& retained, const data::TextEncoder& encoder,
                          int64_t texts_per_batch);

}  // namespace cpx::recipes
