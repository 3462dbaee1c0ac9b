// SPDX-License-Identifier: Apache-2.0
// The row-wise operators in float32 on the CPU, each one pass over memory.
// Legend: T tokens, D model, F feed-forward, H heads, E head size.
#pragma once

#include <utility>

#include <torch/types.h>

namespace cpx::kernels {

/// True for contiguous float32 on the CPU.
bool is_plain_float(const torch::Tensor& x);

/// RMSNorm of `x` [T, D], and 1 / sqrt(mean(x^2) + epsilon) [T, 1].
std::pair<torch::Tensor, torch::Tensor> rms_norm_cpu(const torch::Tensor& x,
                                                     const torch::Tensor& weight, double epsilon);

/// The gradient of `x`.
torch::Tensor rms_norm_backward_cpu(const torch::Tensor& grad_output, const torch::Tensor& x,
                                    const torch::Tensor& weight, const torch::Tensor& inverse);

/// `x` [T, H, E] turned by the angles of `cosine` and `sine` [T, E/2]; back with `is_inverse`.
torch::Tensor rotate_cpu(const torch::Tensor& x, const torch::Tensor& cosine,
                         const torch::Tensor& sine, bool is_inverse);

/// silu(gate) * up.
torch::Tensor swiglu_cpu(const torch::Tensor& gate, const torch::Tensor& up);

/// The gradients of gate and up.
std::pair<torch::Tensor, torch::Tensor> swiglu_backward_cpu(const torch::Tensor& grad_output,
                                                            const torch::Tensor& gate,
                                                            const torch::Tensor& up);

}  // namespace cpx::kernels
