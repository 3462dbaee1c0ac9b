// SPDX-License-Identifier: Apache-2.0
// What the tools that measure perplexity have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::recipes {

/// A model, the adapters that it is measured with, and how texts are scored.
struct TextScoring {
  std::filesystem::path model = {};
  std::optional<std::filesystem::path> adapter = {};
  /// More adapters, whose figures stand beside those of the base (or of `adapter`).
  std::vector<std::filesystem::path> compare = {};

  bool append_eos = false;
  int64_t max_tokens = 0;  // texts are cut to this many tokens; 0: never
  int64_t window = 0;      // 0: the model's own length
  int64_t stride = 0;      // 0: half the window
  int64_t batch_tokens = 2048;

  /// dense (in `dtype`), or as a model that writes has them: auto, float32, bfloat16, q8_0 or q4_0
  /// (models::WeightFormat).
  std::string weights = "dense";
  std::string dtype = "auto";
  std::string device = "auto";
};

}  // namespace cpx::recipes
