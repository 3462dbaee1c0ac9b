// SPDX-License-Identifier: Apache-2.0
// Numbers and texts as YAML writes them, both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cpx::config {

/// A whole number in decimal digits with an optional sign, or nothing.
std::optional<int64_t> parse_int(std::string_view text);

/// A finite decimal number ("1e-3", ".5", "2"), or nothing.
std::optional<double> parse_double(std::string_view text);

/// The fewest digits that read back equal, always with a point, so that every YAML reader takes
/// it for a number: "2.2e-05", "100.0".
std::string double_to_yaml(double value);

/// The text without quotes where no YAML reader can take it for something else.
std::string text_to_yaml(std::string_view text);

}  // namespace cpx::config
