// SPDX-License-Identifier: Apache-2.0
// Attention in both directions over texts that are packed end to end, without padding.
// Legend: T tokens of all texts, Q query rows of all texts, H heads, E head size.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

namespace cpx::kernels {

/// Block-diagonal attention without a mask, [Q, H, E]: every query row of text i sees all tokens of
/// text i and no others. Text i has the rows query_limits[i] to query_limits[i + 1] of `q` [Q, H,
/// E] and the rows cu_seqlens[i] to cu_seqlens[i + 1] of `k` and `v` [T, H, E]; the limits are
/// equal if every token has a query. Scores are scaled by 1 / sqrt(E). Not meant for gradients.
/// Calls LibTorch's own operator for runs of texts of equal length, so texts sorted by length are
/// fastest. The result of a text does not depend on the others.
/// Source: Vaswani et al., "Attention is all you need", 2017, equation 1.
torch::Tensor bidirectional_attention(const torch::Tensor& q, const torch::Tensor& k,
                                      const torch::Tensor& v,
                                      const std::vector<int32_t>& query_limits,
                                      const std::vector<int32_t>& cu_seqlens);

}  // namespace cpx::kernels
