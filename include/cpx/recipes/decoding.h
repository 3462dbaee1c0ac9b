// SPDX-License-Identifier: Apache-2.0
// What the tools that let a model write have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/generation/sampling.h"

namespace cpx::recipes {

/// A model, how it is asked, and how its answers are drawn.
struct Decoding {
  std::filesystem::path model = {};
  std::optional<std::filesystem::path> adapter = {};
  /// plain, chat (the model's own template), llama2 or tulu; auto: chat where the model has one.
  std::string prompt_form = "auto";
  /// Jinja file in place of the model's chat template.
  std::optional<std::filesystem::path> chat_template = {};
  std::string system = {};  // first message of a chat; empty: none

  int64_t samples = 1;  // texts a prompt
  generation::SamplingOptions sampling = {.temperature = 0.8, .top_p = 0.95};
  std::vector<std::string> stop_strings = {};
  bool log_probs = false;  // tokens come with their log-probabilities
  uint64_t seed = 42;
  int64_t batch_size = 20;

  std::string weights = "auto";  // auto, float32, bfloat16, q8_0 or q4_0: models::WeightFormat
  std::string dtype = "auto";
  std::string device = "auto";
};

}  // namespace cpx::recipes
