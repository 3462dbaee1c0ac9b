// SPDX-License-Identifier: Apache-2.0
// Elapsed time, for metrics.
#pragma once

#include <chrono>

namespace cpx::training {

using Clock = std::chrono::steady_clock;

/// Seconds between `start` and now.
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace cpx::training
