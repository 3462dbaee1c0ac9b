// SPDX-License-Identifier: Apache-2.0
// Many faults, one line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpx::recipes {

/// Throws DataError with the first fault and how many follow, `hint` behind the number; does
/// nothing where there are none.
void throw_first_of(const std::vector<std::string>& faults, std::string_view hint = {});

}  // namespace cpx::recipes
