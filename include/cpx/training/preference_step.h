// SPDX-License-Identifier: Apache-2.0
// Preference objectives (DPO and its kin, SimPO) as a step task: items to drawn pairs, packed,
// through the model to token NLLs, to the objective and back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cpx/data/pair_encoder.h"
#include "cpx/data/preference_pairs.h"
#include "cpx/objectives/preference.h"
#include "cpx/training/nll_cache.h"
#include "cpx/training/reference_policy.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// The pairs that a task trains and evaluates on. Their items (data::drop_unusable() has seen them)
/// and the encoder must outlive it.
struct PairData {
  std::shared_ptr<const data::PreferencePairs> train = nullptr;
  /// Drawn without shuffling; null: there is no evaluation.
  std::shared_ptr<const data::PreferencePairs> eval = nullptr;
  const data::PairEncoder& encoder;
  /// Pairs in one micro batch; more of them need more memory.
  int64_t pairs_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  /// Computes a pair's prompt once for all its answers. The numbers are the same but for rounding;
  /// with dropout the prompt has one mask instead of one an answer.
  bool shares_prompts = true;
};

/// Loss and gradient of a micro batch of preferences; `step` are the counts of the whole optimizer
/// step.
using PreferenceLoss = std::function<objectives::ObjectiveResult(
    const objectives::PreferenceBatch& batch, const objectives::StepCounts& step)>;

/// What a preference objective does itself.
struct PreferenceObjective {
  std::string name = {};
  PreferenceLoss loss = {};
  /// The loss reads the reference's NLLs of the answers.
  bool has_reference = false;
};

/// A frozen policy and what it has said so far.
struct PreferenceReference {
  ReferencePolicy policy = {};
  /// Keeps the reference's token NLLs by answer; null: they are computed each time.
  std::shared_ptr<NllCache> cache = nullptr;
};

/// A preference objective. The reference's NLLs of a micro batch's answers that the cache does not
/// hold are computed when it is prepared, without gradient and dropout.
///
/// Evaluation takes the pairs of the evaluation items in file order, and beside the loss the
/// perplexities of chosen (neutral) and rejected (toxic) answers behind their prompts.
class PreferenceStep : public StepTask {
 public:
  /// Throws DataError where, with drop_last, no micro batch is full.
  PreferenceStep(const PairData& data, PreferenceObjective objective,
                 PreferenceReference reference = {});
  ~PreferenceStep() override;

  std::string name() const override;
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;
  /// Flushes the cache: a run that goes on from here reads what this one has read.
  void write_state(const std::filesystem::path& folder) const override;

  /// Answers that the reference has computed so far, for tests and reports.
  int64_t num_reference_answers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cpx::training
