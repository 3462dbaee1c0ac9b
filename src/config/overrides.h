// SPDX-License-Identifier: Apache-2.0
// Overrides from the command line, "a.b=value", as YAML trees.
#pragma once

#include <string>
#include <string_view>

#include "cpx/core/faults.h"
#include "yaml_node.h"

namespace cpx::config {

/// The tree {a: {b: value}} of one override, or null with its fault in `faults`.
YamlNodePtr parse_override(std::string_view text, Faults& faults);

}  // namespace cpx::config
