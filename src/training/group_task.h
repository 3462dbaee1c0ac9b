// SPDX-License-Identifier: Apache-2.0
// What the step tasks over contrast groups share: training and evaluation groups, their micro
// batches by position, an evaluation over the same ones each time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "group_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

/// Makes a micro batch of drawn groups: what an objective does itself.
using MakeMicroBatch = std::function<std::unique_ptr<PackedMicroBatch>(
    nn::CausalLm& model, GroupSource& source, std::span<const data::DrawnGroup> groups)>;

/// The records and the encoder must outlive the task.
struct GroupTaskData {
  std::span<const data::Record> train_records;
  std::span<const data::Record> eval_records;  // may be empty
  const data::TextEncoder& encoder;
  data::GroupOptions train_groups;
  data::GroupOptions eval_groups;
  int64_t groups_per_micro_batch;
  bool drop_last;  // of training
};

class GroupTask {
 public:
  /// Throws DataError where no record (or, with drop_last, no full micro batch) can be used.
  GroupTask(const GroupTaskData& data, MakeMicroBatch make_training,
            MakeMicroBatch make_evaluation);

  int64_t num_micro_batches() const { return train_.num_micro_batches(); }
  std::unique_ptr<PackedMicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index);
  bool has_evaluation() const { return eval_.has_value(); }
  EvaluationResult evaluate(nn::CausalLm& model);
  const data::ContrastGroups& train_groups() const { return train_.groups(); }

 private:
  GroupSource train_;
  std::optional<GroupSource> eval_;
  MakeMicroBatch make_training_;
  MakeMicroBatch make_evaluation_;
  std::vector<std::unique_ptr<PackedMicroBatch>> eval_batches_;
};

}  // namespace cpx::training
