// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-safety does: the safety score of a model, or of given perplexities.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cpx/recipes/text_scoring.h"

namespace cpx::recipes {

/// The command line of cpx-eval-safety.
struct EvalSafetyCommand {
  TextScoring scoring = {};
  std::optional<std::filesystem::path> data = {};          // items to be scored by the model
  std::optional<std::filesystem::path> perplexities = {};  // or items with their perplexities
  int64_t resamples = 1000;                                // of the bootstrap; 0: no intervals
  uint64_t seed = 42;                                      // of the resamples
  std::string scale = "both";                              // both | hate: evaluation::SafetyScaling

  std::optional<std::filesystem::path> report = {};
  /// The items with their perplexities, a line of JSON each, which `perplexities` reads. Written
  /// when all is done; until then what is computed stands in `<items>.journal`, from which the same
  /// command goes on.
  std::optional<std::filesystem::path> items = {};
  bool overwrite = false;  // begins anew where that journal was made with other settings
};

/// Runs the command: the report as JSON goes to `report`, a table to standard output. Returns the
/// exit code.
int run_eval_safety(const EvalSafetyCommand& command);

}  // namespace cpx::recipes
