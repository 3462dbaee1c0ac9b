// SPDX-License-Identifier: Apache-2.0
// Files by patterns, as `data.train` and the tools' `--input` take them.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::data {

/// Returns the files that `patterns` match, sorted within a pattern, each file once however it is
/// spelled. In the file's name `*` stands for any characters and `?` for one; the folder is taken
/// as it is. A pattern that matches no file, or is a folder, adds a fault.
std::vector<std::filesystem::path> expand_globs(std::span<const std::string> patterns,
                                                Faults& faults);

}  // namespace cpx::data
