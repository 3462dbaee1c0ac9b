// SPDX-License-Identifier: Apache-2.0
// Reads paths as users write them. A shell does not expand the `~` of `key=~/x` and `--flag=~/x`,
// so cpx does it, both in configs and in flags.
#pragma once

#include <filesystem>
#include <string_view>

namespace cpx {

/// The path that a user means by `text`: a `~` alone or in front of a slash becomes the home folder
/// (HOME, else the user's entry in the system); all other text is unchanged. Throws DataError,
/// without a place, for `~name` and if there is no home folder; `./~name` is a file of that name.
std::filesystem::path expand_home(std::string_view text);

}  // namespace cpx
