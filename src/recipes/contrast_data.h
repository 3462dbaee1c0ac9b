// SPDX-License-Identifier: Apache-2.0
// Contrast shards as groups of texts: data of contrastive perplexity, its variants and
// fine-tuning; beside them, the texts that are retained.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/record.h"
#include "retained_texts.h"
#include "train_data.h"

namespace cpx::recipes {

/// The counts that an objective draws of each record, with the run's seed; all 0 for objectives
/// that draw none.
data::GroupOptions group_options(const TrainConfig& config);

class ContrastData : public TrainData {
 public:
  /// Throws DataError when no record can be used.
  ContrastData(const TrainConfig& config, size_t num_files, std::vector<data::Record> records,
               RetainedTexts retained, std::shared_ptr<const data::TextEncoder> encoder);

  int64_t num_units() const override { return groups_.num_groups(); }
  std::string_view unit_name() const override { return "groups"; }
  std::string summary() const override;
  std::string ends() const override { return encoder_->describe_ends(); }
  std::string lengths() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override;
  std::string fingerprint() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;
  std::unique_ptr<training::StepTask> make_task(const TrainData* evaluation,
                                                const TaskContext& context) const override;

 private:
  // Without the retained texts.
  std::unique_ptr<training::StepTask> make_group_task(std::span<const data::Record> eval_records,
                                                      const TaskContext& context) const;

  const TrainConfig& config_;
  size_t num_files_;
  std::vector<data::Record> records_;
  RetainedTexts retained_;
  std::shared_ptr<const data::TextEncoder> encoder_;
  data::ContrastGroups groups_;
};

}  // namespace cpx::recipes
