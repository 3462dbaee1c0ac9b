// SPDX-License-Identifier: Apache-2.0
// Texts that begin alike and share the tokens of that beginning: a shared token is computed once.
// Legend: T tokens, L places in all texts, more than T; P tokens of a beginning that all texts
// have.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/row_selection.h"

namespace cpx::nn {

/// Where the tokens of some texts stand.
struct SharedTokens {
  /// Takes the rows of all places of P + T rows: those of the beginning, then those of the tokens.
  std::shared_ptr<const kernels::RowSelection> tokens_of_places = {};
  /// The places of text i, the beginning with them, are cu_seqlens[i] to cu_seqlens[i + 1].
  std::vector<int32_t> cu_seqlens = {0};
  /// The tokens that stand in text i and in no text before it are own_bounds[i] to
  /// own_bounds[i + 1]; they are its last ones.
  std::vector<int32_t> own_bounds = {0};
};

/// Of the texts cu_seqlens, whose places hold the tokens `token_of_place` [L], each behind a
/// beginning of `num_before` tokens. Throws std::invalid_argument for a token that is out of range
/// or stands nowhere, and unless tokens are numbered as they come, those that a text shares with
/// earlier ones standing at its beginning.
SharedTokens share_tokens(const std::vector<int32_t>& cu_seqlens,
                          std::span<const int64_t> token_of_place, int64_t num_tokens,
                          const torch::Device& device, int64_t num_before = 0);

/// The position of each token in its texts, [T], from `token_of_place` [L]. Throws
/// std::invalid_argument for a token that stands at different positions.
std::vector<int64_t> token_positions(const std::vector<int32_t>& cu_seqlens,
                                     std::span<const int64_t> token_of_place, int64_t num_tokens);

}  // namespace cpx::nn
