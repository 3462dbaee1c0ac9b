// SPDX-License-Identifier: Apache-2.0
// Numbers of classifiers as outputs have them.
#pragma once

#include <cstdlib>

#include <fmt/format.h>

namespace cpx::recipes {

/// The number as short as float32 allows: what a classifier computes has no more digits.
inline double shortest(double value) {
  return std::strtod(fmt::format("{}", static_cast<float>(value)).c_str(), nullptr);
}

}  // namespace cpx::recipes
