// SPDX-License-Identifier: Apache-2.0
// Preference objectives (DPO and its kin, SimPO) as a step task: items to drawn pairs, packed,
// through the model to token NLLs, to the objective and back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "cpx/data/pair_encoder.h"
#include "cpx/data/preference_pairs.h"
#include "cpx/objectives/preference.h"
#include "cpx/training/nll_cache.h"
#include "cpx/training/reference_policy.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

struct PreferenceStepOptions {
  /// How many pairs of an item take part, order and seed.
  data::PairOptions pairs = {};
  /// Pairs in one micro batch; more of them need more memory.
  int64_t pairs_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  /// Computes a pair's prompt once for all its answers. The numbers are the same but for rounding;
  /// with dropout the prompt has one mask instead of one an answer.
  bool shares_prompts = true;
  std::variant<objectives::DpoOptions, objectives::SimpoOptions> objective = {};
};

/// The frozen policy of DPO and what it has said so far.
struct PreferenceReference {
  ReferencePolicy policy = {};
  /// Keeps the reference's token NLLs by answer; null: they are computed each time.
  std::shared_ptr<NllCache> cache = nullptr;
};

/// DPO or SimPO. The reference's NLLs of a micro batch's answers that the cache does not hold are
/// computed when it is prepared, without gradient and dropout.
///
/// Evaluation takes the pairs of the evaluation items in file order, and beside the loss the
/// perplexities of chosen (neutral) and rejected (toxic) answers behind their prompts.
class PreferenceStep : public StepTask {
 public:
  /// Items (data::drop_unusable() has seen them) and encoder must outlive the object; `eval_items`
  /// may be empty. Throws DataError where no item gives a pair or, with drop_last, no micro batch
  /// is full.
  PreferenceStep(std::span<const data::PreferenceItem> train_items,
                 std::span<const data::PreferenceItem> eval_items, const data::PairEncoder& encoder,
                 const PreferenceStepOptions& options, PreferenceReference reference = {});
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
