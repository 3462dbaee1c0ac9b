// SPDX-License-Identifier: Apache-2.0
// The row-wise operators of a decoder block. Each is one autograd function with a hand-written
// gradient, which keeps as little as possible for the backward pass.
// Legend: T tokens, D model, F feed-forward, H heads, E head size.
#pragma once

#include <torch/types.h>

namespace cpx::kernels {

/// RMSNorm: x / sqrt(mean(x^2) + epsilon) * weight, [T, D]; the mean in at least float32.
/// Differentiable in `x` [T, D]; `weight` [D] is frozen.
/// Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019, equation 4.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double epsilon);

/// Rotary position embedding of `x` [T, H, E]: the pair (x_i, x_{i + E/2}) is turned by the
/// token's i-th angle. `cosine` and `sine` [T, E/2]. Differentiable in `x` (the inverse turn).
/// Source: Su et al., "RoFormer", section 3.2, in Hugging Face's pairing of halves.
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cosine,
                     const torch::Tensor& sine);

/// SwiGLU: silu(gate) * up, [T, F]. Differentiable in both.
/// Source: Shazeer, "GLU Variants Improve Transformer", 2020, equation 6.
torch::Tensor swiglu(const torch::Tensor& gate, const torch::Tensor& up);

}  // namespace cpx::kernels
