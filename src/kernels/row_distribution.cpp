// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_distribution.h"

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

torch::Tensor log_probabilities(const torch::Tensor& logits) {
  const auto dtype = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::log_softmax(logits.detach(), 1, dtype);
}

}  // namespace

torch::Tensor row_entropy(const torch::Tensor& logits) {
  CPX_CHECK(logits.dim() == 2, "[row_entropy] logits are {}, expected [N, V].",
            tensor::shape_text(logits.sizes()));
  const torch::NoGradGuard no_grad;
  const auto log_probs = log_probabilities(logits);
  return at::exp(log_probs).mul_(log_probs).sum(1).neg_();
}

torch::Tensor row_kl(const torch::Tensor& logits, const torch::Tensor& reference_logits) {
  CPX_CHECK(logits.dim() == 2 && logits.sizes() == reference_logits.sizes(),
            "[row_kl] shapes do not fit: got logits {} and {} of the reference, expected [N, V] "
            "twice.",
            tensor::shape_text(logits.sizes()), tensor::shape_text(reference_logits.sizes()));
  const torch::NoGradGuard no_grad;
  auto log_probs = log_probabilities(logits);
  const auto probabilities = at::exp(log_probs);
  return log_probs.sub_(log_probabilities(reference_logits)).mul_(probabilities).sum(1);
}

}  // namespace cpx::kernels
