// SPDX-License-Identifier: Apache-2.0
// Elapsed time and the processor's time, for metrics.
#pragma once

#include <chrono>
#include <ctime>

namespace cpx::training {

using Clock = std::chrono::steady_clock;

/// Seconds between `start` and now.
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds that all threads of the process have computed so far, user and system.
inline double process_cpu_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

}  // namespace cpx::training
