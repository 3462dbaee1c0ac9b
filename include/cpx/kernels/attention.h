// SPDX-License-Identifier: Apache-2.0
// Causal attention over texts that are packed end to end, without padding.
// Legend: T tokens of all texts, Q queries (T unless some tokens ask nothing), H query heads, K key
// heads, E head size.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

struct AttentionOptions {
  /// Factor on q k^T, usually 1 / sqrt(E).
  double scale = 1.0;
  /// A token sees itself and the `window - 1` tokens before it; 0: all tokens before it.
  int64_t window = 0;
};

/// Block-diagonal causal attention, [T, H, E]: text i consists of the tokens cu_seqlens[i] to
/// cu_seqlens[i + 1] and sees only itself. `q` [T, H, E], `k` and `v` [T, K, E] with H a multiple
/// of K (grouped-query attention: query head h reads key head h / (H / K)). Softmax in at least
/// float32. Differentiable in q, k and v; nothing of size T x T is kept for the backward pass.
/// Follows Hugging Face's eager_attention_forward (transformers 5.23, modeling_mistral.py).
///
/// Where only the last tokens of a text ask, `query_bounds` (else empty) is like cu_seqlens for the
/// queries: those of text i are the rows query_bounds[i] to query_bounds[i + 1] of `q` [Q, H, E],
/// its last tokens ask them, and the result is [Q, H, E]. Throws std::invalid_argument for shapes
/// and bounds that do not fit.
torch::Tensor packed_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const std::vector<int32_t>& cu_seqlens,
                               const AttentionOptions& options,
                               const std::vector<int32_t>& query_bounds = {});

/// Throws std::invalid_argument unless `cu_seqlens` starts at 0, never falls and ends at
/// `num_tokens`.
void check_cu_seqlens(const std::vector<int32_t>& cu_seqlens, int64_t num_tokens);

}  // namespace cpx::kernels
