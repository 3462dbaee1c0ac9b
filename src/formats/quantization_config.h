// SPDX-License-Identifier: Apache-2.0
// Reads how a folder's linear layers are quantised.
#pragma once

#include <filesystem>
#include <optional>

#include "cpx/core/json.h"
#include "cpx/formats/model_config.h"

namespace cpx::formats {

/// From `quantization_config` in `config`, the fields of config.json, else from
/// quantize_config.json (AutoGPTQ) or quant_config.json (AutoAWQ) in `folder`; nothing where there
/// is neither. Throws DataError for a method, format or number of bits that is not read.
std::optional<QuantizationConfig> read_quantization_config(const std::filesystem::path& folder,
                                                           const JsonValue& config);

}  // namespace cpx::formats
