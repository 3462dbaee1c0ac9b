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
  std::optional<std::filesystem::path> input;  // as cpx-eval-ppl reads them
  /// Key of the prompts in objects; empty: prompt, prompt.text, text or input.
  std::string key;
  /// JSONL, which grows by the prompt and is gone on with; else to standard output as text.
  std::optional<std::filesystem::path> output;
  bool overwrite = false;  // begins anew where the output was made with other settings
  /// Which log-probabilities of the tokens stand in the output: raw, processed, both; empty: none.
  std::string log_probs;
};

/// Runs the command. Returns the exit code.
int run_generate(const GenerateCommand& command);

}  // namespace cpx::recipes
