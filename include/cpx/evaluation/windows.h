// SPDX-License-Identifier: Apache-2.0
// Long texts in overlapping windows, as Hugging Face's guide on the perplexity of fixed-length
// models does it: each token is predicted once.
#pragma once

#include <cstdint>
#include <vector>

namespace cpx::evaluation {

/// The model sees the tokens [begin, end) of a text and predicts [first_target, end).
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t first_target = 0;
};

/// The windows of a text of `num_tokens`: each begins `stride` tokens after the last one. The first
/// predicts all its tokens but the text's first one, the others only the new ones, each from at
/// least `window` - `stride` tokens (from one where the two are equal: then windows move by
/// `window` - 1). None for a text of fewer than two tokens. `window` is at least 2, `stride` from 1
/// to `window`; anything else is std::invalid_argument.
std::vector<Window> plan_windows(int64_t num_tokens, int64_t window, int64_t stride);

}  // namespace cpx::evaluation
