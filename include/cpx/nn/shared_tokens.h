// SPDX-License-Identifier: Apache-2.0
// Texts that begin alike and share the tokens of that beginning: each is computed once.
// Legend: T tokens, E places of all texts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/row_selection.h"

namespace cpx::nn {

/// From tokens to the places of the texts, and back; empty where no tokens are shared.
struct SharedTokens {
  std::shared_ptr<const kernels::RowSelection> tokens_of_places = {};  // E of T
  std::shared_ptr<const kernels::RowSelection> places_of_tokens = {};  // T of E: the first of each
};

/// Both ways for `token_of_place` [E]. Throws std::invalid_argument for a token out of range or
/// without a place.
SharedTokens share_tokens(std::span<const int64_t> token_of_place, int64_t num_tokens,
                          const torch::Device& device);

/// The position of each token in its texts, [T]. Throws std::invalid_argument for a token that
/// stands at different positions.
std::vector<int64_t> token_positions(const std::vector<int32_t>& cu_seqlens,
                                     std::span<const int64_t> token_of_place, int64_t num_tokens);

}  // namespace cpx::nn
