// SPDX-License-Identifier: Apache-2.0
// The row-wise operators on a GPU by cpx's own kernels, which a plug-in library holds
// (cuda/row_kernels.h): each one launch and one pass over memory. Without the plug-in LibTorch's
// operators do the same in more launches. Legend: T tokens, D model, F feed-forward, H heads, E
// head size, N rows, V vocabulary, I columns.
#pragma once

#include <cstdint>
#include <utility>

#include <torch/types.h>

#include "cuda/row_kernels.h"

namespace cpx::kernels {

/// True where the functions below take tensors like `x`: float32 or a half type on a GPU, and the
/// plug-in is there. The first question looks for it, and says in the log where it is missing.
bool has_row_kernels(const torch::Tensor& x);

/// Has tensors on the CPU computed by `kernels` in this thread while it lives, for tests: the way
/// from tensors to kernels is then the GPU's.
class RowKernelsOnCpu {
 public:
  explicit RowKernelsOnCpu(const RowKernels& kernels);
  ~RowKernelsOnCpu();
  RowKernelsOnCpu(const RowKernelsOnCpu&) = delete;
  RowKernelsOnCpu& operator=(const RowKernelsOnCpu&) = delete;

 private:
  const RowKernels* before_;
};

/// RMSNorm of `x` [T, D], and 1 / sqrt(mean(x^2) + epsilon), float32 [T, 1]. Throws
/// std::runtime_error, as all of these, where a kernel cannot be started.
std::pair<torch::Tensor, torch::Tensor> rms_norm_rows(const torch::Tensor& x,
                                                      const torch::Tensor& weight, double epsilon);

/// The gradient of `x`.
torch::Tensor rms_norm_backward_rows(const torch::Tensor& grad_output, const torch::Tensor& x,
                                     const torch::Tensor& weight, const torch::Tensor& inverse);

/// `x` [T, H, E] turned by the angles of `cosine` and `sine` [T, E/2]; back with `is_inverse`.
torch::Tensor rotate_rows(const torch::Tensor& x, const torch::Tensor& cosine,
                          const torch::Tensor& sine, bool is_inverse);

/// silu(gate) * up.
torch::Tensor swiglu_rows(const torch::Tensor& gate, const torch::Tensor& up);

/// The gradients of gate and up.
std::pair<torch::Tensor, torch::Tensor> swiglu_backward_rows(const torch::Tensor& grad_output,
                                                             const torch::Tensor& gate,
                                                             const torch::Tensor& up);

/// Writes the negative log-likelihood of each of the N rows of `logits` [N, V] to `nll`, float32
/// [N]; with `needs_gradient` the logits become softmax - onehot.
void nll_rows(torch::Tensor& logits, const torch::Tensor& targets, torch::Tensor& nll,
              bool needs_gradient);

/// dropout_bits() on the device of `x` [T, I].
torch::Tensor dropout_bits_rows(const torch::Tensor& x, double p, uint64_t key);

/// keep() of dropout_bits.h.
torch::Tensor keep_rows(const torch::Tensor& x, const torch::Tensor& bits, double factor);

/// add_kept() of dropout_bits.h; `sum` is contiguous and of the type of `x`.
void add_kept_rows(torch::Tensor& sum, const torch::Tensor& x, const torch::Tensor& bits,
                   double factor);

}  // namespace cpx::kernels
