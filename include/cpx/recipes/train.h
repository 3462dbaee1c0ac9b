// SPDX-License-Identifier: Apache-2.0
// What cpx-train does: from a config file to a trained adapter, and the looks before it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/recipes/objective_choice.h"

namespace cpx::recipes {

/// The command line of cpx-train.
struct TrainCommand {
  std::filesystem::path config;
  std::vector<std::string> overrides;  // "a.b=value"
  std::string device = "auto";
  /// The objectives that the config may name.
  const ObjectiveTable* objectives = &objective_table();

  // What to do instead of training; at most one.
  bool validate = false;
  bool estimate = false;
  bool print_config = false;
  std::optional<int64_t> inspect;  // number of examples

  /// A checkpoint folder or a run folder to go on from, or "auto": the last checkpoint of
  /// training.output, a fresh start where there is none.
  std::optional<std::string> resume;
  /// Where to write a trace of some steps; their table is printed at the end.
  std::optional<std::filesystem::path> profile;
  /// Removes a run that stands in training.output.
  bool overwrite = false;
  /// Jinja file in place of the model's chat template.
  std::optional<std::filesystem::path> chat_template;
};

/// Runs the command; results go to standard output, log and progress to standard error. Returns
/// the exit code; throws ConfigError, DataError and what LibTorch throws.
int run_train(const TrainCommand& command);

}  // namespace cpx::recipes
