// SPDX-License-Identifier: Apache-2.0
// Flags of the tools that score what models write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cpx/core/faults.h"
#include "tool_main.h"

namespace cpx::tools {

/// Where the values of --scorer, --label, --threshold, --strict, --batch-tokens and --resamples go.
struct ScoringTargets {
  std::vector<std::filesystem::path>& scorers;
  std::vector<std::string>& labels;
  double& threshold;
  bool& is_strict;
  int64_t& batch_tokens;
  int64_t& resamples;
};

/// Those of a command that has them.
template <class Command>
ScoringTargets scoring_targets(Command& command) {
  return {.scorers = command.scorers,
          .labels = command.labels,
          .threshold = command.rule.threshold,
          .is_strict = command.rule.is_strict,
          .batch_tokens = command.batch_tokens,
          .resamples = command.resamples};
}

/// Adds those flags; defaults are what the targets hold.
void add_scoring_flags(CLI::App& app, const ScoringTargets& targets);

/// Appends what is wrong with them.
void check_scoring_flags(const ScoringTargets& targets, Faults& faults);

/// Adds --output, --report and --overwrite.
void add_evaluation_outputs(CLI::App& app, std::optional<std::filesystem::path>& output,
                            std::optional<std::filesystem::path>& report, bool& overwrite);

/// What a tool's help says, see Tool.
struct ToolTexts {
  const char* name;
  const char* description;
  const char* examples;
};

/// What a tool does with its command line.
template <class Command>
struct CommandSteps {
  void (*add_flags)(CLI::App&, Command&);
  void (*check_flags)(const CLI::App&, Command&);
  int (*run)(const Command&);
};

/// The end of main() of a tool whose `command` lets a model write: tool_main() with these steps.
template <class Command>
int decoding_main(const ToolTexts& texts, Command command, const CommandSteps<Command>& steps,
                  int argc, char** argv) {
  const Tool tool{.name = texts.name,
                  .description = texts.description,
                  .examples = texts.examples,
                  .add_flags = [&](CLI::App& app) { steps.add_flags(app, command); },
                  .check_flags = [&](const CLI::App& app) { steps.check_flags(app, command); },
                  .run =
                      [&](const CommonFlags& flags) {
                        command.decoding.device = flags.device;
                        return steps.run(command);
                      }};
  return tool_main(tool, argc, argv);
}

}  // namespace cpx::tools
