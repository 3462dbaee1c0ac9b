// SPDX-License-Identifier: Apache-2.0
// A step task over contrast groups: records to drawn groups, packed, through the model to token
// NLLs, to an objective and back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/text_encoder.h"
#include "cpx/objectives/text_batch.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// The groups that a task trains and evaluates on. Their records and the encoder must outlive it.
struct GroupData {
  std::shared_ptr<const data::ContrastGroups> train = nullptr;
  /// Made with evaluation_groups(); null: there is no evaluation.
  std::shared_ptr<const data::ContrastGroups> eval = nullptr;
  const data::TextEncoder& encoder;
  /// Groups in one micro batch; more of them need more memory.
  int64_t groups_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  /// Computes the tokens that texts of a group begin with alike once. The numbers are the same but
  /// for rounding; with dropout a shared token has one mask instead of one a text.
  bool shares_prefixes = false;
};

/// How groups of evaluation `records` are drawn where `training` is how those of training are: the
/// first texts in file order. Where other target groups have too few toxic texts, random negatives
/// are left out, with a warning.
data::GroupOptions evaluation_groups(const data::GroupOptions& training,
                                     std::span<const data::Record> records);

class GroupSource;
class PackedMicroBatch;

/// An objective over contrast groups as a step task. A text without a predicted token is left out
/// with a warning; a group that cannot be used then is a DataError. Evaluation draws each record's
/// first texts in file order, as one optimizer step.
class GroupStep : public StepTask {
 public:
  /// Makes a micro batch of drawn groups: what an objective does itself.
  using MakeMicroBatch = std::function<std::unique_ptr<PackedMicroBatch>(
      nn::CausalLm& model, GroupSource& source, std::span<const data::DrawnGroup> groups)>;

  /// Throws DataError where, with drop_last, no micro batch is full.
  GroupStep(std::string name, const GroupData& data, MakeMicroBatch make_training,
            MakeMicroBatch make_evaluation);
  ~GroupStep() override;

  std::string name() const override { return name_; }
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override { return eval_ != nullptr; }
  EvaluationResult evaluate(nn::CausalLm& model) override;

 private:
  std::string name_;
  std::unique_ptr<GroupSource> train_;
  std::unique_ptr<GroupSource> eval_;
  MakeMicroBatch make_training_;
  MakeMicroBatch make_evaluation_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;  // the same each time
};

/// Loss and gradient of a micro batch of groups; `step` are the counts of the whole optimizer step.
using TextLoss = std::function<objectives::ObjectiveResult(const objectives::TextBatch& batch,
                                                           const objectives::StepCounts& step)>;

/// The task of an objective that needs no more than the NLLs of the drawn texts: all that is left
/// to say is its loss.
std::unique_ptr<GroupStep> text_step(std::string name, const GroupData& data, TextLoss loss);

}  // namespace cpx::training
