// SPDX-License-Identifier: Apache-2.0
// What every cpx tool shares: common flags, error lines and exit codes.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace cpx::tools {

/// The flags that every tool has.
struct CommonFlags {
  std::string log_level = "info";
  int threads = 0;  // 0: LibTorch's default
  std::string device = "auto";
};

/// A tool: what its help says, its own flags, and the work itself.
struct Tool {
  std::string name;         // "cpx-train"
  std::string description;  // one or two sentences
  std::string examples;     // shown under the flags
  /// Adds the tool's own flags.
  std::function<void(CLI::App&)> add_flags;
  /// Checks that need more than one flag, or which ones were given; throws ConfigError. May be
  /// empty.
  std::function<void(const CLI::App&)> check_flags;
  /// Does the work and returns the exit code; errors are thrown.
  std::function<int(const CommonFlags&)> run;
};

/// Parses the command line, runs the tool and turns errors into one line each on standard error.
/// Returns 0 when done, 1 when the work failed or its standard output could not be written, 2 for a
/// wrong command line or config, 141 (as the shell has it) where nobody reads standard output any
/// more and the signal is ignored that ends a tool then.
int tool_main(const Tool& tool, int argc, char** argv);

}  // namespace cpx::tools
