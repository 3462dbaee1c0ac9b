// SPDX-License-Identifier: Apache-2.0
// Texts that begin alike and share the tokens of that beginning: a shared token is computed once.
// Legend: T tokens, L places in all texts, more than T.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/row_selection.h"

namespace cpx::nn {

/// From tokens to the places of the texts, and back.
struct SharedTokens {
  std::shared_ptr<const kernels::RowSelection> tokens_of_places = {};  // takes L rows of T
  /// Takes T rows of L: each token from the first place where it stands.
  std::shared_ptr<const kernels::RowSelection> places_of_tokens = {};
};

/// Builds both selections from `token_of_place` [L]. Throws std::invalid_argument for a token that
/// is out of range or stands nowhere.
SharedTokens share_tokens(std::span<const int64_t> token_of_place, int64_t num_tokens,
                          const torch::Device& device);

/// The position of each token in its texts, [T], from `token_of_place` [L]. Throws
/// std::invalid_argument for a token that stands at different positions.
std::vector<int64_t> token_positions(const std::vector<int32_t>& cu_seqlens,
                                     std::span<const int64_t> token_of_place, int64_t num_tokens);

/// How many tokens at the beginning of each text stand at an earlier place already, [texts].
std::vector<int64_t> num_shared_before(const std::vector<int32_t>& cu_seqlens,
                                       std::span<const int64_t> token_of_place);

}  // namespace cpx::nn
