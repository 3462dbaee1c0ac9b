// SPDX-License-Identifier: Apache-2.0
#include "packed_micro_batch.h"

#include <cmath>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "group_batch.h"

namespace cpx::training {

using objectives::ObjectiveResult;
using objectives::StepCounts;

namespace {

void add_to_loss(ObjectiveResult& result, double held) {
  result.loss += held;
  if (result.contrast) *result.contrast += held;
}

}  // namespace

MicroBatchInfo packed_info(const data::PackedBatch& packed) {
  MicroBatchInfo info{.num_tokens = packed.num_tokens,
                      .num_padded_tokens = packed.num_padded_tokens};
  info.counts.groups = packed.num_groups;
  for (const data::PackedText& text : packed.texts) {
    if (text.role == TextRole::kPositive) {
      info.counts.positive_texts += 1;
      info.counts.positive_tokens += text.count;
    } else {
      info.counts.negative_texts += 1;
    }
  }
  return info;
}

nn::Predictions predictions_of(const data::PackedBatch& batch) {
  return {.ids = batch.ids,
          .cu_seqlens = batch.cu_seqlens,
          .rows = batch.rows,
          .targets = batch.targets,
          .token_of_place = batch.token_of_place};
}

torch::Tensor token_nll(nn::CausalLm& model, const data::PackedBatch& batch,
                        const nn::ForwardOptions& options) {
  return nn::token_nll(model, predictions_of(batch), options);
}

ObjectiveResult PackedMicroBatch::forward_backward(nn::CausalLm& model, const StepCounts& step,
                                                   const nn::ForwardOptions& options) const {
  const HeldDistributions held = held_distributions(step);
  if (held.weight != 0.0) return forward_backward_holding(model, held, step, options);
  const auto nll = token_nll(model, packed_, options);
  auto result = objective(nn::to_doubles(nll), step);
  if (std::isfinite(result.loss)) {
    nll.backward(at::tensor(result.gradient, at::kDouble).to(nll.options()));
  }
  return result;
}

// The states of the predictions have two gradients: that of the token NLLs and that of what is
// held.
ObjectiveResult PackedMicroBatch::forward_backward_holding(
    nn::CausalLm& model, const HeldDistributions& held, const StepCounts& step,
    const nn::ForwardOptions& options) const {
  const auto states = nn::predicting_states(model, predictions_of(packed_), options);
  const auto leaf = states.detach().requires_grad_();
  const auto targets = at::tensor(packed_.targets, at::kLong).to(model.device());
  const auto nll = model.token_nll(leaf, targets, options);
  auto result = objective(nn::to_doubles(nll), step);
  if (!std::isfinite(result.loss)) return result;
  nll.backward(at::tensor(result.gradient, at::kDouble).to(nll.options()));
  auto gradient = leaf.grad();
  add_to_loss(result, add_held_gradient(model, packed_, held, options, leaf, gradient));
  if (std::isfinite(result.loss) && states.requires_grad()) states.backward(gradient);
  return result;
}

ObjectiveResult PackedMicroBatch::evaluate(nn::CausalLm& model, std::span<const double> nll,
                                           const StepCounts& step) const {
  auto result = objective(nll, step);
  const HeldDistributions held = held_distributions(step);
  if (held.weight != 0.0) add_to_loss(result, held_loss(model, packed_, held));
  return result;
}

void check_has_evaluation(bool has_evaluation, std::string_view texts) {
  CPX_CHECK(has_evaluation, "[evaluate] there are no evaluation {}.", texts);
}

EvaluationResult evaluate_batches(nn::CausalLm& model,
                                  std::span<const std::unique_ptr<PackedMicroBatch>> batches) {
  const torch::NoGradGuard no_grad;
  StepCounts counts;
  for (const auto& batch : batches) counts += batch->info().counts;
  ObjectiveResult sum;
  std::vector<objectives::ScoredText> scored;
  for (const auto& batch : batches) {
    const auto nll = nn::to_doubles(token_nll(model, batch->packed(), {}));
    add_result(sum, batch->evaluate(model, nll, counts));
    add_scored_texts(scored, batch->packed(), nll);
  }
  return {.loss = sum.loss,
          .contrast = sum.contrast,
          .sides = objectives::summarize_perplexity(scored).all};
}

}  // namespace cpx::training
