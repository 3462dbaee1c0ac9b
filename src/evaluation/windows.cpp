// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/windows.h"

#include <algorithm>

#include "cpx/core/error.h"

namespace cpx::evaluation {

std::vector<Window> plan_windows(int64_t num_tokens, int64_t window, int64_t stride) {
  CPX_CHECK(window >= 2, "[plan_windows] window: got {}, expected 2 or more tokens.", window);
  CPX_CHECK(stride >= 1 && stride <= window,
            "[plan_windows] stride: got {}, expected 1 to {} (the window).", stride, window);
  const int64_t step = std::min(stride, window - 1);
  std::vector<Window> windows;
  int64_t first_target = 1;  // nothing predicts a text's first token
  for (int64_t begin = 0; first_target < num_tokens; begin += step) {
    const int64_t end = begin + std::min(window, num_tokens - begin);
    windows.push_back({.begin = begin, .end = end, .first_target = first_target});
    first_target = end;
  }
  return windows;
}

}  // namespace cpx::evaluation
