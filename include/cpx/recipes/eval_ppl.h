// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-ppl does: the perplexity of toxic against neutral texts under a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::recipes {

/// The command line of cpx-eval-ppl.
struct EvalPplCommand {
  std::filesystem::path model;
  std::optional<std::filesystem::path> adapter;
  /// A second adapter (or, without `adapter`, the first) whose figures stand beside the others.
  std::optional<std::filesystem::path> compare;

  std::vector<std::string> shards;  // globs
  std::optional<std::filesystem::path> toxic;
  std::optional<std::filesystem::path> neutral;

  std::string mode = "texts";  // texts | published
  bool append_eos = false;
  int64_t max_tokens = 0;  // texts are cut to this many tokens; 0: never
  int64_t window = 0;      // 0: the model's own length
  int64_t stride = 0;      // 0: half the window
  int64_t batch_tokens = 2048;

  std::string dtype = "auto";
  std::string device = "auto";
  std::optional<std::filesystem::path> report;
};

/// Runs the command: the report as JSON goes to `report`, a table to standard output. Returns the
/// exit code.
int run_eval_ppl(const EvalPplCommand& command);

}  // namespace cpx::recipes
