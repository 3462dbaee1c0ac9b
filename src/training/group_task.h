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

/// The data of a task whose options have num_positives, shuffle, seed, groups_per_micro_batch,
/// drop_last and maybe num_hard_negatives; evaluation takes each record's first texts.
template <class Options>
GroupTaskData group_task_data(std::span<const data::Record> train_records,
                              std::span<const data::Record> eval_records,
                              const data::TextEncoder& encoder, const Options& options,
                              bool with_input) {
  data::GroupOptions train_groups{.num_positives = options.num_positives,
                                  .num_hard_negatives = 0,
                                  .num_random_negatives = 0,
                                  .with_input = with_input,
                                  .shuffle = options.shuffle,
                                  .seed = options.seed};
  if constexpr (requires { options.num_hard_negatives; }) {
    train_groups.num_hard_negatives = options.num_hard_negatives;
  }
  data::GroupOptions eval_groups = train_groups;
  eval_groups.shuffle = false;
  return {.train_records = train_records,
          .eval_records = eval_records,
          .encoder = encoder,
          .train_groups = train_groups,
          .eval_groups = eval_groups,
          .groups_per_micro_batch = options.groups_per_micro_batch,
          .drop_last = options.drop_last};
}

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
