// SPDX-License-Identifier: Apache-2.0
// The plain path: every operator of this module as its formula in LibTorch's own operators and
// autograd, slow and with large intermediates. It is for tests, and for users who doubt a number:
// with CPX_REFERENCE_KERNELS=1 in the environment all tools use it.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include "cpx/kernels/attention.h"
#include "cpx/kernels/lora_linear.h"

namespace cpx::kernels {

/// True if operators use the plain path: CPX_REFERENCE_KERNELS is 1, or a guard is alive.
bool uses_reference();

/// Switches this thread to the plain path while it lives.
class PlainPathGuard {
 public:
  PlainPathGuard();
  ~PlainPathGuard();
  PlainPathGuard(const PlainPathGuard&) = delete;
  PlainPathGuard& operator=(const PlainPathGuard&) = delete;

 private:
  bool before_;
};

/// Arguments and results are those of the operators of the same names; nothing is checked.
namespace reference {

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double epsilon);
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cosine,
                     const torch::Tensor& sine);
torch::Tensor swiglu(const torch::Tensor& gate, const torch::Tensor& up);
torch::Tensor packed_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const std::vector<int32_t>& cu_seqlens,
                               const AttentionOptions& options,
                               const std::vector<int32_t>& query_bounds);
torch::Tensor linear(const torch::Tensor& x, const LinearWeights& layer);
torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& weight,
                        const torch::Tensor& targets);
torch::Tensor token_nll_low_rank(const torch::Tensor& hidden, const torch::Tensor& weight,
                                 const torch::Tensor& low_rank, const torch::Tensor& b,
                                 double scale, const torch::Tensor& targets);

}  // namespace reference

}  // namespace cpx::kernels
