// SPDX-License-Identifier: Apache-2.0
// What cpx-eval-choice does: choice tasks and rolling perplexity, as lm-evaluation-harness 0.4.13
// defines them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cpx::recipes {

/// The command line of cpx-eval-choice.
struct EvalChoiceCommand {
  std::filesystem::path model;
  std::optional<std::filesystem::path> adapter;
  /// Adapters whose figures stand beside those of the model (with `adapter`, if given).
  std::vector<std::filesystem::path> compare;

  std::vector<std::string> tasks;       // NAME=PATH
  int64_t shots = 0;                    // few-shot examples
  std::vector<std::string> shots_from;  // NAME=PATH, or PATH alone beside one task
  int64_t limit = 0;                    // documents of a task, of each subject of MMLU; 0: all

  std::string bos = "auto";     // auto | on | off
  bool leaves_out_bos = false;  // rolling perplexity does not score an added BOS
  int64_t max_length = 0;       // 0: the model's own length
  int64_t batch_tokens = 4096;

  std::string dtype = "auto";
  std::string device = "auto";
  std::string weights = "dense";  // or as of cpx-generate: auto | q8_0 | q4_0

  std::optional<std::filesystem::path> items;   // JSONL, a line a document
  bool overwrite = false;                       // begins anew where other settings were begun with
  std::optional<std::filesystem::path> report;  // JSON
  /// Only writes the texts that would be scored (JSONL); needs no model.
  std::optional<std::filesystem::path> dump_requests;
};

/// Runs the command: a table goes to standard output, the report as JSON to `report`. With `items`
/// a run goes on where it was interrupted. Returns the exit code.
int run_eval_choice(const EvalChoiceCommand& command);

/// The names of all tasks, for the help.
std::string choice_task_names();

}  // namespace cpx::recipes
