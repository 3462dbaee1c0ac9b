// SPDX-License-Identifier: Apache-2.0
// Entropies and divergences of next-token distributions; without gradients where nothing else is
// said.
// Legend: N rows, V vocabulary.
#pragma once

#include <torch/types.h>

namespace cpx::kernels {

/// Entropy (natural log) of the softmax of each row of `logits` [N, V]; [N], float64 for float64
/// logits, otherwise float32.
torch::Tensor row_entropy(const torch::Tensor& logits);

/// Kullback-Leibler divergence (natural log) of the softmax of each row of `logits` [N, V] from
/// that of the same row of `reference_logits` [N, V]: sum of p (log p - log p_ref); [N], as above.
torch::Tensor row_kl(const torch::Tensor& logits, const torch::Tensor& reference_logits);

/// The divergence the other way round, with its gradient: sum of p_ref (log p_ref - log p); [N], as
/// above. Differentiable once in `logits`, whose gradient is p - p_ref; `reference_logits` get
/// none.
torch::Tensor row_kl_of_reference(const torch::Tensor& logits,
                                  const torch::Tensor& reference_logits);

}  // namespace cpx::kernels
