// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-ppl does: the perplexity of toxic against neutral texts under a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/recipes/text_scoring.h"

namespace cpx::recipes {

/// The command line of cpx-eval-ppl.
struct EvalPplCommand {
  TextScoring scoring = {};

  std::vector<std::string> shards = {};  // globs
  std::optional<std::filesystem::path> toxic = {};
  std::optional<std::filesystem::path> neutral = {};

  // Which of the texts are measured, in this order; what is drawn depends on `seed` alone.
  bool is_distinct = false;  // a text that a side has several times counts once
  int64_t num_toxic = 0;     // toxic texts of a record, drawn; 0: all
  int64_t num_neutral = 0;   // neutral texts of a record, drawn; 0: all
  int64_t limit = 0;         // texts of a side, drawn; 0: all
  uint64_t seed = 42;        // of draws and resamples

  std::string mode = "texts";  // texts | published
  int64_t resamples = 1000;    // of the bootstrap; 0: no intervals

  std::optional<std::filesystem::path> report = {};
  /// A line of JSON for each text and model. Written when all is done; until then what is computed
  /// stands in `<items>.journal`, from which the same command goes on.
  std::optional<std::filesystem::path> items = {};
  bool overwrite = false;  // begins anew where that journal was made with other settings
};

/// Runs the command: the report as JSON goes to `report`, a table to standard output. Returns the
/// exit code.
int run_eval_ppl(const EvalPplCommand& command);

}  // namespace cpx::recipes
