// SPDX-License-Identifier: Apache-2.0
// Attention of short texts on the CPU, computed in float32: one task a text and key head,
// everything of it in the cache, instead of dozens of small tensor operations.
// Legend: T tokens of all texts, Q queries, H query heads, K key heads, E head size.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/attention.h"

namespace cpx::kernels {

/// A text within the pack. Its tokens from `first_row` on ask; their queries stand in the rows of q
/// from `query_begin` on.
struct TextSpan {
  int64_t begin = 0;
  int64_t length = 0;
  int64_t first_row = 0;
  int64_t query_begin = 0;
};

/// The longest text that short_attention() computes.
constexpr int64_t kMaxShortText = 128;

/// Writes the rows of `texts` of `output`; all tensors are float32 and
/// contiguous, as in packed_attention(), with E a multiple of 8.
void short_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     const std::vector<TextSpan>& texts, const AttentionOptions& options,
                     torch::Tensor& output);

/// The gradients with respect to q, k and v.
struct AttentionGradients {
  torch::Tensor q;
  torch::Tensor k;
  torch::Tensor v;
};

/// Writes the rows of `texts` of the gradients of q, k and v, given the gradient of the output.
/// Those of k and v are zeros before.
void short_attention_backward(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& grad_output,
                              const std::vector<TextSpan>& texts, const AttentionOptions& options,
                              AttentionGradients& gradients);

}  // namespace cpx::kernels
