// SPDX-License-Identifier: Apache-2.0
// Contrastive perplexity as a step task: records to drawn groups, packed, through the model to
// token NLLs, to the objective and back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/objectives/contrastive_perplexity.h"
#include "cpx/training/nll_cache.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

struct ContrastStepOptions {
  /// How many texts of a record take part, order and seed.
  data::GroupOptions groups = {};
  /// Groups in one micro batch; more of them need more memory.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  objectives::ContrastiveOptions objective = {};
  /// Where the base's values are looked for and kept; null: in memory, for this object alone.
  std::shared_ptr<NllCache> base_cache = nullptr;
};

/// Contrastive perplexity. Base values (centroid base, hold) come from the model with its adapter
/// off, are computed once a text and stay in memory: a text of a later epoch costs nothing. They
/// are computed in fixed packs of a record's neighbouring neutral texts, so that no bit of them
/// depends on what was seen before, and a resumed run equals the uninterrupted one.
///
/// A text without a predicted token is left out with a warning; a group that has no positive text
/// then is a DataError.
///
/// Evaluation draws each record's first texts in file order; where the evaluation records' other
/// target groups have too few toxic texts, it goes without random negatives.
class ContrastStep : public StepTask {
 public:
  /// The records and the encoder must outlive the object; `eval_records` may be empty. Throws
  /// DataError where no record (or, with drop_last, no full micro batch) can be used.
  ContrastStep(std::span<const data::Record> train_records,
               std::span<const data::Record> eval_records, const data::TextEncoder& encoder,
               const ContrastStepOptions& options);
  ~ContrastStep() override;

  std::string name() const override { return "contrastive_perplexity"; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;

  /// The training groups, for counts and inspection.
  const data::ContrastGroups& train_groups() const;
  /// Passes of the base model so far, for tests and reports.
  int64_t num_base_passes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cpx::training
