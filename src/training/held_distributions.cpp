// SPDX-License-Identifier: Apache-2.0
#include "held_distributions.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "cpx/kernels/row_distribution.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

torch::Tensor held_rows(const nn::CausalLm& model, const HeldDistributions& held) {
  return at::tensor(held.predictions, at::kLong).to(model.device());
}

// States of all predictions under the base, [N, D].
torch::Tensor base_states(nn::CausalLm& model, const data::PackedBatch& batch) {
  const torch::NoGradGuard no_grad;
  const nn::AdapterOffGuard adapter_off;
  return nn::predicting_states(model, predictions_of(batch), {});
}

torch::Tensor base_logits(nn::CausalLm& model, const torch::Tensor& states) {
  const torch::NoGradGuard no_grad;
  const nn::AdapterOffGuard adapter_off;
  return model.logits(states, {});
}

}  // namespace

double held_loss(nn::CausalLm& model, const data::PackedBatch& batch,
                 const HeldDistributions& held) {
  const torch::NoGradGuard no_grad;
  const auto rows = held_rows(model, held);
  const auto base = base_states(model, batch).index_select(0, rows);
  const auto policy = nn::predicting_states(model, predictions_of(batch), {}).index_select(0, rows);
  const int64_t piece = nn::rows_in_a_piece(model.shape());
  double sum = 0.0;
  for (int64_t begin = 0; begin < rows.size(0); begin += piece) {
    const int64_t end = std::min(begin + piece, rows.size(0));
    const auto logits = model.logits(policy.slice(0, begin, end), {});
    const auto reference = base_logits(model, base.slice(0, begin, end));
    sum += kernels::row_kl_of_reference(logits, reference).sum().item<double>();
  }
  return held.weight * sum;
}

double add_held_gradient(nn::CausalLm& model, const data::PackedBatch& batch,
                         const HeldDistributions& held, const nn::ForwardOptions& options,
                         const torch::Tensor& states, torch::Tensor& gradient) {
  const auto rows = held_rows(model, held);
  const auto base = base_states(model, batch);
  const int64_t piece = nn::rows_in_a_piece(model.shape());
  double sum = 0.0;
  for (int64_t begin = 0; begin < rows.size(0); begin += piece) {
    const auto some = rows.slice(0, begin, std::min(begin + piece, rows.size(0)));
    const auto policy = states.detach().index_select(0, some).requires_grad_();
    const auto reference = base_logits(model, base.index_select(0, some));
    const auto loss =
        kernels::row_kl_of_reference(model.logits(policy, options), reference).sum() * held.weight;
    loss.backward();
    gradient.index_add_(0, some, policy.grad().to(gradient.dtype()));
    sum += loss.item<double>();
  }
  return sum;
}

}  // namespace cpx::training
