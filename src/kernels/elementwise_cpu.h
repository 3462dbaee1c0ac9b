// SPDX-License-Identifier: Apache-2.0
// The row-wise operators on the CPU, each one pass over memory, in float32 or bfloat16. Arithmetic
// is in float32; in bfloat16 it is rounded where transformers rounds. Legend: T tokens, D model, F
// feed-forward, H heads, E head size.
#pragma once

#include <utility>

#include <torch/types.h>

namespace cpx::kernels {

/// True for a tensor that these functions take: contiguous float32 or bfloat16 on the CPU.
bool has_cpu_kernel(const torch::Tensor& x);

/// RMSNorm of `x` [T, D], and 1 / sqrt(mean(x^2) + epsilon), float32 [T, 1].
std::pair<torch::Tensor, torch::Tensor> rms_norm_cpu(const torch::Tensor& x,
                                                     const torch::Tensor& weight, double epsilon);

/// The gradient of `x`.
torch::Tensor rms_norm_backward_cpu(const torch::Tensor& grad_output, const torch::Tensor& x,
                                    const torch::Tensor& weight, const torch::Tensor& inverse);

/// `x` [T, H, E] turned by the angles of `cosine` and `sine`, float32 [T, E/2]; back with
/// `is_inverse`.
torch::Tensor rotate_cpu(const torch::Tensor& x, const torch::Tensor& cosine,
                         const torch::Tensor& sine, bool is_inverse);

/// silu(gate) * up.
torch::Tensor swiglu_cpu(const torch::Tensor& gate, const torch::Tensor& up);

/// The gradients of gate and up.
std::pair<torch::Tensor, torch::Tensor> swiglu_backward_cpu(const torch::Tensor& grad_output,
                                                            const torch::Tensor& gate,
                                                            const torch::Tensor& up);

}  // namespace cpx::kernels
