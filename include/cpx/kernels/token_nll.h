// SPDX-License-Identifier: Apache-2.0
// Per-token negative log-likelihood without keeping logits.
//
// The gradient of nll_t with respect to its hidden state, u_t = W^T (softmax(z_t) - onehot_t), does
// not depend on what the loss does with nll_t. So the forward pass computes nll_t and u_t in chunks
// of rows and keeps [N, D]; the backward pass only scales rows. No [N, V] tensor outlives its
// chunk, and none is computed twice.
// Legend: N predictions, D model, V vocabulary, R rank.
#pragma once

#include <torch/types.h>

namespace cpx::kernels {

/// Negative log-likelihood (natural log) of `targets` under softmax(hidden weight^T), float32 [N].
/// `hidden` [N, D] float32, float64 (then the result is float64) or bfloat16; `weight` [V, D] of
/// the same dtype, frozen; `targets` [N] int64 in [0, V). Differentiable in `hidden`.
torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& weight,
                        const torch::Tensor& targets);

/// NLL of the target and entropy of each row, natural log.
struct NllAndEntropy {
  torch::Tensor nll;      // [N]
  torch::Tensor entropy;  // [N]
};

/// token_nll() without gradient, and the entropies of the same rows.
NllAndEntropy token_nll_and_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                    const torch::Tensor& targets);

/// token_nll() for a head with a low-rank update: logits = hidden weight^T + scale * low_rank b^T,
/// where the caller has computed `low_rank` [N, R] = (dropped) hidden a^T. Differentiable in
/// `hidden`, `low_rank` and `b` [V, R]. Here the gradient needs the logits, so the backward pass
/// computes each chunk again.
torch::Tensor token_nll_low_rank(const torch::Tensor& hidden, const torch::Tensor& weight,
                                 const torch::Tensor& low_rank, const torch::Tensor& b,
                                 double scale, const torch::Tensor& targets);

}  // namespace cpx::kernels
