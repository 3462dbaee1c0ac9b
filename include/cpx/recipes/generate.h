// SPDX-License-Identifier: Apache-2.0
// What cpx-generate does: text that a model writes after prompts, or in a conversation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/generation/sampling.h"

namespace cpx::recipes {

/// The command line of cpx-generate.
struct GenerateCommand {
  std::filesystem::path model;
  std::optional<std::filesystem::path> adapter;
  bool compare = false;  // base and adapter, side by side

  /// Prompts; without any and without `input`, a conversation on standard input.
  std::vector<std::string> prompts;
  std::optional<std::filesystem::path> input;  // .txt, .json or .jsonl as cpx-eval-ppl reads them
  std::string prompt_template = "auto";        // auto: the model's chat template where it has one
  std::string system;                          // first message of a chat; empty: none

  int64_t samples = 1;
  generation::SamplingOptions sampling = {.temperature = 0.8, .top_p = 0.95};
  std::vector<std::string> stop_strings;
  uint64_t seed = 42;
  int64_t batch_size = 20;

  std::string dtype = "auto";
  std::string device = "auto";
  std::optional<std::filesystem::path> output;  // JSONL; else to standard output as text
};

/// Runs the command. Returns the exit code.
int run_generate(const GenerateCommand& command);

}  // namespace cpx::recipes
