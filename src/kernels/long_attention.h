// SPDX-License-Identifier: Apache-2.0
// Attention of long texts on the CPU, computed in float32: one task a text and query head, blocks
// of keys and rows that stay in the cache, an online softmax, nothing of the size of a text
// squared. After Dao, "FlashAttention-2", 2023, algorithms 1 and 2. Legend: T tokens of all texts,
// Q queries, H query heads, K key heads, E head size.
#pragma once

#include <vector>

#include <torch/types.h>

#include "cpx/kernels/attention.h"
#include "short_attention.h"

namespace cpx::kernels {

/// Writes the rows of `texts` of `output`; all tensors are float32 and contiguous, as in
/// packed_attention(), with E a multiple of 8. Returns the logarithm of each row's sum of
/// exp(scores), [Q, H, 1], anything in the rows of other texts; undefined without texts.
torch::Tensor long_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                             const std::vector<TextSpan>& texts, const AttentionOptions& options,
                             torch::Tensor& output);

/// Writes the rows of `texts` of the gradients of q, k and v, given the gradient of the output and
/// what the forward pass gave. Those of k and v are zeros before.
void long_attention_backward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                             const torch::Tensor& output, const torch::Tensor& log_sums,
                             const torch::Tensor& grad_output, const std::vector<TextSpan>& texts,
                             const AttentionOptions& options, AttentionGradients& gradients);

}  // namespace cpx::kernels
