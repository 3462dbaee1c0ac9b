// SPDX-License-Identifier: Apache-2.0
// Prompts that a policy goes on from: data of PPO, from contrast shards or prompt files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cpx/data/preferences.h"
#include "cpx/data/prompts.h"
#include "cpx/training/ppo_step.h"
#include "train_data.h"

namespace cpx::recipes {

class PromptData : public TrainData {
 public:
  /// Prompts to train on, of which `rollout.held_out` are held out, or to evaluate on. Throws
  /// DataError where no item gives a prompt, or there are fewer to train on than a rollout takes.
  PromptData(const TrainConfig& config, size_t num_files, data::PreferenceContent content,
             std::shared_ptr<const data::TextEncoder> encoder, bool is_trained_on);

  int64_t num_units() const override;
  std::string_view unit_name() const override { return "prompts"; }
  std::string summary() const override;
  std::string ends() const override;
  std::string lengths() const override;
  void check_fit(const nn::ModelShape& model) const override;
  std::string not_counted(const nn::ModelShape& model) const override;
  std::string fingerprint() const override { return fingerprint_; }
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;
  std::unique_ptr<training::StepTask> make_task(const TrainData* evaluation,
                                                const TaskContext& context) const override;

 private:
  const TrainConfig& config_;
  size_t num_files_;
  int64_t num_without_input_;
  std::vector<std::string> places_;  // of the items, for messages
  std::string fingerprint_;
  std::shared_ptr<const data::TextEncoder> encoder_;
  data::Prompts prompts_;
};

/// The rewarded class of the classifier that the config names, on `device`. Throws DataError where
/// it cannot be read, and ConfigError for a label that it does not have.
training::RewardModel make_reward(const RewardOptions& reward, const torch::Device& device);

/// What PPO is asked for; throws ConfigError where a stop token is not in the vocabulary.
training::PpoStepOptions ppo_step_options(const TrainConfig& config,
                                          const tokenizer::Tokenizer& tokenizer);

}  // namespace cpx::recipes
