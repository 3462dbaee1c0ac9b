// SPDX-License-Identifier: Apache-2.0
// Flags that name files and folders.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "cpx/core/error.h"
#include "cpx/core/path.h"

namespace cpx::tools {

/// The path that a flag's `text` means; CLI11's form of an error where it means none.
inline std::string path_of_flag(const std::string& text) {
  try {
    return expand_home(text).string();
  } catch (const DataError& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// Adds a flag that takes a path, a pattern or several of them: `~/` at the beginning of each is
/// the home folder. Other words than paths ("-", "auto") pass as they are.
template <class T>
CLI::Option* add_path_option(CLI::App& app, const std::string& flag, T& target,
                             const std::string& help) {
  return app.add_option(flag, target, help)->transform(path_of_flag);
}

}  // namespace cpx::tools
