// SPDX-License-Identifier: Apache-2.0
// Negative log-likelihood of a row of logits and its gradient, in place, in float32 on the CPU.
// Legend: N rows, V vocabulary.
#pragma once

#include <torch/types.h>

namespace cpx::kernels {

/// Writes -log softmax(logits)[target] of each row to `nll` [N]; `logits` [N, V], contiguous,
/// become softmax - onehot(target) with `needs_gradient`, else stay. `targets` int64 [N].
void row_nll(torch::Tensor& logits, const torch::Tensor& targets, torch::Tensor& nll,
             bool needs_gradient);

}  // namespace cpx::kernels
