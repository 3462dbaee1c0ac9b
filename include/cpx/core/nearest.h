// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the known name that is nearest to a mistyped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cpx {

/// Number of single-character insertions, deletions and substitutions between two names.
size_t edit_distance(std::string_view a, std::string_view b);

/// The known name with the smallest edit distance to `name`, or nullopt if none is close (more than
/// half of the name would have to change).
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);

}  // namespace cpx
