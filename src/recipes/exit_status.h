// SPDX-License-Identifier: Apache-2.0
// How a recipe ends: what its tool gives back to the shell.
#pragma once

namespace cpx::recipes {

inline constexpr int kDone = 0;
inline constexpr int kInterrupted = 1;

}  // namespace cpx::recipes
