// SPDX-License-Identifier: Apache-2.0
// What cpx-generate does: text that a model writes after prompts, or in a conversation.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// The command line of cpx-generate.
struct GenerateCommand {
  Decoding decoding;
  bool compare = false;  // base and adapter, side by side

  /// Prompts; without any and without `input`, a conversation on standard input.
  std::vector<std::string> prompts;
  std::optional<std::filesystem::path> input;   // as cpx-eval-ppl reads them
  std::optional<std::filesystem::path> output;  // JSONL; else to standard output as text
};

/// Runs the command. Returns the exit code.
int run_generate(const GenerateCommand& command);

}  // namespace cpx::recipes
