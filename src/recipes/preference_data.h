// SPDX-License-Identifier: Apache-2.0
// Chosen against rejected answers: data of DPO and SimPO, from contrast shards or preference files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cpx/data/pair_encoder.h"
#include "cpx/data/preference_pairs.h"
#include "cpx/data/preferences.h"
#include "train_data.h"

namespace cpx::recipes {

/// The keys that both preference objectives have; null for other objectives.
const PreferenceKeys* preference_keys(const ObjectiveOptions& objective);

class PreferenceData : public TrainData {
 public:
  /// Takes the answers out that no pair can use. Throws DataError when no item gives a pair.
  PreferenceData(const TrainConfig& config, size_t num_files, data::PreferenceContent content,
                 const data::TextEncoder& encoder);

  int64_t num_units() const override { return pairs_.num_pairs(); }
  std::string_view unit_name() const override { return "pairs"; }
  std::string summary() const override;
  std::string ends() const override { return encoder_.text_encoder().describe_ends(); }
  std::string lengths() const override;
  std::vector<std::string> warnings() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override;
  std::string fingerprint() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;
  std::unique_ptr<training::StepTask> make_task(const TrainData* evaluation,
                                                const TaskContext& context) const override;

 private:
  const TrainConfig& config_;
  size_t num_files_;
  int64_t num_without_input_;
  std::vector<data::PreferenceItem> items_;
  std::string fingerprint_;  // of the items as they were read
  data::PairEncoder encoder_;
  data::AnswerCounts counts_;
  data::PreferencePairs pairs_;
};

}  // namespace cpx::recipes
