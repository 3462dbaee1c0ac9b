// SPDX-License-Identifier: Apache-2.0
// Summed token NLL of many pieces of text, in packs of a bounded number of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cpx/nn/causal_lm.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::evaluation {

/// Tokens that the model sees at once, of which it predicts those from `first_target` (1 or more,
/// below the number of tokens) on.
struct Segment {
  std::span<const tokenizer::TokenId> ids = {};
  int64_t first_target = 1;

  int64_t num_targets() const { return std::ssize(ids) - first_target; }
};

/// The sum of each segment's token NLLs (natural log), without gradient; nothing when `keep_going`
/// (which may be empty; it is told the tokens done and those of all segments) returns false.
/// Segments are packed by length, several at a time as long as they hold at most
/// `tokens_per_batch` tokens together.
std::optional<std::vector<double>> segment_nll_sums(
    nn::CausalLm& model, std::span<const Segment> segments, int64_t tokens_per_batch,
    const std::function<bool(int64_t done, int64_t total)>& keep_going);

}  // namespace cpx::evaluation
