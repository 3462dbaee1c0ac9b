// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_distribution.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

torch::Tensor log_probabilities(const torch::Tensor& logits) {
  const auto dtype = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::log_softmax(logits.detach(), 1, dtype);
}

void check_pair(const char* name, const torch::Tensor& logits, const torch::Tensor& reference) {
  CPX_CHECK(logits.dim() == 2 && logits.sizes() == reference.sizes(),
            "[{}] shapes do not fit: got logits {} and {} of the reference, expected [N, V] twice.",
            name, tensor::shape_text(logits.sizes()), tensor::shape_text(reference.sizes()));
}

// Keeps p - p_ref, the gradient, and nothing else of its size.
struct KlOfReference : public torch::autograd::Function<KlOfReference> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& logits, const torch::Tensor& reference_logits) {
    const auto log_probs = log_probabilities(logits);
    const auto reference = log_probabilities(reference_logits);
    const auto reference_probabilities = at::exp(reference);
    auto divergence = at::mul(reference - log_probs, reference_probabilities).sum(1);
    context->save_for_backward({at::exp(log_probs).sub_(reference_probabilities)});
    context->saved_data["dtype"] = logits.scalar_type();
    return divergence;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto difference = context->get_saved_variables()[0];
    const auto gradient = at::mul(difference, gradients[0].unsqueeze(1));
    return {gradient.to(context->saved_data["dtype"].toScalarType()), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor row_entropy(const torch::Tensor& logits) {
  CPX_CHECK(logits.dim() == 2, "[row_entropy] logits are {}, expected [N, V].",
            tensor::shape_text(logits.sizes()));
  const torch::NoGradGuard no_grad;
  const auto log_probs = log_probabilities(logits);
  return at::exp(log_probs).mul_(log_probs).sum(1).neg_();
}

torch::Tensor row_kl(const torch::Tensor& logits, const torch::Tensor& reference_logits) {
  check_pair("row_kl", logits, reference_logits);
  const torch::NoGradGuard no_grad;
  auto log_probs = log_probabilities(logits);
  const auto probabilities = at::exp(log_probs);
  return log_probs.sub_(log_probabilities(reference_logits)).mul_(probabilities).sum(1);
}

torch::Tensor row_kl_of_reference(const torch::Tensor& logits,
                                  const torch::Tensor& reference_logits) {
  check_pair("row_kl_of_reference", logits, reference_logits);
  return KlOfReference::apply(logits, reference_logits);
}

}  // namespace cpx::kernels
