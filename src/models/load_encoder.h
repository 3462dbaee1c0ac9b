// SPDX-License-Identifier: Apache-2.0
// Reads the weights of encoders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include <torch/types.h>

#include "cpx/formats/encoder_config.h"
#include "encoder.h"

namespace cpx::models {

/// The encoder of a folder, with its weights in float32 on `device`; with a classifier's head if
/// `num_labels` is given. Throws DataError that names tensor, file and shapes where the weights do
/// not fit the config.
std::shared_ptr<Encoder> load_encoder(const std::filesystem::path& folder,
                                      const formats::EncoderConfig& config,
                                      std::optional<int64_t> num_labels,
                                      const torch::Device& device);

}  // namespace cpx::models
