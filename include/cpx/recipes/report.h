// SPDX-License-Identifier: Apache-2.0
// What cpx-report does: one HTML page from run folders and evaluation reports.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cpx::recipes {

/// The command line of cpx-report.
struct ReportCommand {
  /// Run folders of cpx-train, JSON reports of the cpx-eval tools, JSONL of continuations.
  std::vector<std::string> inputs;
  std::filesystem::path output;
  std::string title;               // empty: made from the names of the runs
  std::vector<std::string> facts;  // "NAME=TEXT", for the facts of each run
  int64_t max_prompts = 24;        // whose texts are shown
};

/// Writes the page; what is damaged in an input is left out with a warning, and the page says so.
/// Returns the exit code.
int run_report(const ReportCommand& command);

}  // namespace cpx::recipes
