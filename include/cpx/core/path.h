// SPDX-License-Identifier: Apache-2.0
// Paths as users write them. A shell leaves the `~` of `key=~/x` and `--flag=~/x` alone, so cpx
// reads it itself, in configs and flags alike.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx {

/// The path that a user means by `text`: a `~` alone or before a slash is the home folder (HOME,
/// else the system's entry of the user); everything else stays as it is. Throws DataError, without
/// a place, for `~name` and where there is no home folder; `./~name` is a file of that name.
std::filesystem::path expand_home(std::string_view text);

}  // namespace cpx
