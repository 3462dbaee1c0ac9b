// SPDX-License-Identifier: Apache-2.0
// A micro batch of packed texts: through the model to token NLLs, through the objective, and back.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cpx/data/packed_batch.h"
#include "cpx/training/step_task.h"
#include "held_distributions.h"

namespace cpx::training {

/// Sizes of the batch, and the counts of its groups and of the texts of either side.
MicroBatchInfo packed_info(const data::PackedBatch& packed);

/// What the batch predicts; refers to it.
nn::Predictions predictions_of(const data::PackedBatch& batch);

/// Token NLL of the batch's predictions, [N], on the model's device.
torch::Tensor token_nll(nn::CausalLm& model, const data::PackedBatch& batch,
                        const nn::ForwardOptions& options);

/// What is left to an objective is the loss and its gradient, given the token NLLs.
class PackedMicroBatch : public MicroBatch {
 public:
  PackedMicroBatch(MicroBatchInfo info, data::PackedBatch packed)
      : MicroBatch(std::move(info)), packed_(std::move(packed)) {}

  objectives::ObjectiveResult forward_backward(nn::CausalLm& model,
                                               const objectives::StepCounts& step,
                                               const nn::ForwardOptions& options) const final;

  /// Loss and gradient for `nll` [N]; `step` are the counts of the whole optimizer step.
  virtual objectives::ObjectiveResult objective(std::span<const double> nll,
                                                const objectives::StepCounts& step) const = 0;

  /// What the loss has beside objective(), which no token NLL tells; none unless a class says so.
  virtual HeldDistributions held_distributions(const objectives::StepCounts& /*step*/) const {
    return {};
  }

  /// The loss without gradient, what is held included; `nll` are the batch's.
  objectives::ObjectiveResult evaluate(nn::CausalLm& model, std::span<const double> nll,
                                       const objectives::StepCounts& step) const;

  const data::PackedBatch& packed() const { return packed_; }

 private:
  objectives::ObjectiveResult forward_backward_holding(nn::CausalLm& model,
                                                       const HeldDistributions& held,
                                                       const objectives::StepCounts& step,
                                                       const nn::ForwardOptions& options) const;

  data::PackedBatch packed_;
};

/// Throws std::invalid_argument unless there is something to evaluate on; `texts` is its name.
void check_has_evaluation(bool has_evaluation, std::string_view texts);

/// Loss and perplexities over `batches` as if they were one optimizer step, without gradient.
EvaluationResult evaluate_batches(nn::CausalLm& model,
                                  std::span<const std::unique_ptr<PackedMicroBatch>> batches);

}  // namespace cpx::training
