// SPDX-License-Identifier: Apache-2.0
// The keys of ppo: under `objective`, and in the sections `rollout` and `reward`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/config/fields.h"
#include "cpx/data/prompts.h"
#include "cpx/recipes/train_config.h"
#include "cpx/tokenizer/tokenizer.h"
#include "cpx/training/ppo_step.h"
#include "cpx/training/reward_model.h"

namespace cpx::recipes {

/// What is sampled.
struct RolloutKeys {
  std::string prompt = "{input}";
  data::PromptOptions prompts = {};  // order and seed are the run's
  int64_t batch_size = 16;
  training::RolloutOptions sampling = {};  // stop ids and seed come from the keys below and the run
  bool stops_at_eos = true;
  std::optional<std::string> stop_token;
  training::EvaluationSampling evaluation = training::EvaluationSampling::kGreedy;

  void visit_fields(config::FieldVisitor& visit);
};

/// What responses are scored by.
struct RewardKeys {
  std::optional<std::filesystem::path> model;
  std::vector<std::string> words;
  training::RewardOptions score = {};
  bool with_prompt = false;

  void visit_fields(config::FieldVisitor& visit);
};

struct PpoKeys {
  /// The keys under `objective`; the rest of it is filled by ppo_step_options().
  training::PpoStepOptions step = {.ppo_epochs = 4};
  RolloutKeys rollout = {};
  RewardKeys reward = {};
};

/// The rewarded class of the classifier that the keys name, on `device`. Throws DataError where it
/// cannot be read, and ConfigError for a label that it does not have.
training::RewardModel make_reward(const RewardKeys& reward, const torch::Device& device);

/// What the step task is asked for; throws ConfigError where a stop token is not in the vocabulary.
training::PpoStepOptions ppo_step_options(const PpoKeys& keys, const TrainConfig& config,
                                          const tokenizer::Tokenizer& tokenizer);

}  // namespace cpx::recipes
