// SPDX-License-Identifier: Apache-2.0
// Kahneman-Tversky optimization as a step task: labelled answers, packed, through the model to
// token NLLs, to the objective and back; and how far the policy is from the reference altogether.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpx/data/labelled_answers.h"
#include "cpx/data/pair_encoder.h"
#include "cpx/objectives/kto.h"
#include "cpx/training/preference_step.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// The answers that a task trains and evaluates on. Their items (data::drop_unusable() has seen
/// them) and the encoder must outlive it.
struct LabelledData {
  std::shared_ptr<const data::LabelledAnswers> train = nullptr;
  /// Drawn without shuffling; null: there is no evaluation.
  std::shared_ptr<const data::LabelledAnswers> eval = nullptr;
  const data::PairEncoder& encoder;
  /// Answers in one micro batch, 2 or more: its prompts and answers are mismatched for the KL term.
  int64_t answers_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
};

/// KTO. The KL term of a micro batch is the mean log ratio of policy and reference, at least 0, on
/// each of its prompts with the answer before it (the first one with the last), cut to max_tokens,
/// without gradient and dropout; as TRL 1.16 has it. A last micro batch of one answer has that of
/// the answer itself. The reference's NLLs that the cache does not hold are computed when a micro
/// batch is prepared.
///
/// Figures: `kl`, the mean of the micro batches' terms. Evaluation takes the answers in file order,
/// and beside loss and `kl` the perplexities of desirable (neutral) and undesirable (toxic) ones.
class KtoStep : public StepTask {
 public:
  /// Throws DataError where, with drop_last, no micro batch is full.
  KtoStep(const LabelledData& data, const objectives::KtoOptions& options,
          PreferenceReference reference = {});
  ~KtoStep() override;

  std::string name() const override { return "kto"; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;
  std::vector<Figure> end_step(int64_t step) override;
  /// Flushes the cache: a run that goes on from here reads what this one has read.
  void write_state(const std::filesystem::path& folder) const override;

  /// Answers that the reference has computed so far, for tests and reports.
  int64_t num_reference_answers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cpx::training
