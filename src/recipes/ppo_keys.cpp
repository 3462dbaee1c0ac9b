// SPDX-License-Identifier: Apache-2.0
#include "ppo_keys.h"

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/models/text_scorer.h"

namespace cpx::recipes {

namespace {

// Streams of the run's seed.
constexpr uint64_t kRolloutStream = 0x726f6c6c;
constexpr uint64_t kValueHeadStream = 0x76616c75;

std::vector<int64_t> stop_ids(const RolloutKeys& rollout, const tokenizer::Tokenizer& tokenizer) {
  std::vector<int64_t> ids;
  if (rollout.stops_at_eos) {
    if (!tokenizer.eos_id()) {
      throw ConfigError("[rollout.stops_at_eos] the tokenizer has no EOS token, expected false.");
    }
    ids.push_back(*tokenizer.eos_id());
  }
  if (!rollout.stop_token) return ids;
  const auto id = tokenizer.find(*rollout.stop_token);
  if (!id) {
    throw_<ConfigError>(
        "[rollout.stop_token] got '{}', expected a token of the vocabulary as it is "
        "spelled there.",
        *rollout.stop_token);
  }
  ids.push_back(*id);
  return ids;
}

std::shared_ptr<nn::TextScorer> make_scorer(const RewardKeys& reward, const torch::Device& device) {
  if (!reward.words.empty()) return std::make_shared<training::WordListScorer>(reward.words);
  return models::load_text_scorer(*reward.model, device);
}

}  // namespace

void RolloutKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("prompt", prompt,
              "What a record's input becomes a prompt by, at {input}; files of prompts may have "
              "prompts of their own");
  visit.field("append_rejected", prompts.append_rejected,
              "Goes on with a toxic paraphrase, without a blank between (published: true)");
  visit.field("min_prompt_tokens", prompts.min_tokens, "Shorter texts are left out",
              {.at_least = 1});
  visit.field("max_prompt_tokens", prompts.max_tokens,
              "Texts are cut to a number of tokens drawn from min_prompt_tokens to it; 0: not cut",
              {.at_least = 0});
  visit.field("held_out", prompts.held_out,
              "Part of the prompts that is evaluated on where there is no data.eval",
              {.at_least = 0, .below = 1});
  visit.field("batch_size", batch_size,
              "Prompts of a rollout: a multiple of training.groups x training.accumulate",
              {.at_least = 1});
  visit.field("temperature", sampling.temperature, "Of the sampling; 0: the likeliest token",
              {.at_least = 0});
  visit.field("top_k", sampling.top_k, "Samples from so many likeliest tokens; 0: from all",
              {.at_least = 0});
  visit.field("top_p", sampling.top_p,
              "Samples from the likeliest tokens that reach this probability",
              {.above = 0, .at_most = 1});
  visit.field("min_new_tokens", sampling.min_new_tokens,
              "The longest that a response may get is drawn from it ...", {.at_least = 1});
  visit.field("max_new_tokens", sampling.max_new_tokens, "... to this, for each response",
              {.at_least = 1});
  visit.field("stops_at_eos", stops_at_eos, "EOS ends a response");
  visit.field("stop_token", stop_token,
              "A token, as the vocabulary spells it, that ends a response too; null: none");
  visit.field("min_tokens_before_stop", sampling.min_tokens_before_stop,
              "Before so many tokens no response is ended", {.at_least = 0});
  visit.field("evaluation", evaluation,
              "Responses of an evaluation: greedy, or a sample that is the same each time");
}

void RewardKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("model", model,
              "Folder of a classifier or reward model, or owner/name of the cache; this or words "
              "must be given");
  visit.field("words", words,
              "In place of a classifier: label 0 counts the words of a response that are among "
              "these, label 1 the others");
  score.visit_fields(visit);
  visit.field("with_prompt", with_prompt, "The prompt is part of the text that is scored");
}

training::RewardModel make_reward(const RewardKeys& reward, const torch::Device& device) {
  return {make_scorer(reward, device), reward.score};
}

training::PpoStepOptions ppo_step_options(const PpoKeys& keys, const TrainConfig& config,
                                          const tokenizer::Tokenizer& tokenizer) {
  const auto seed = static_cast<uint64_t>(config.training.seed);
  training::PpoStepOptions options = keys.step;
  options.rollout = keys.rollout.sampling;
  options.rollout.stop_ids = stop_ids(keys.rollout, tokenizer);
  options.rollout.seed = mix_seed(seed, {kRolloutStream});
  options.batch_size = keys.rollout.batch_size;
  options.prompts_per_micro_batch = config.training.groups;
  options.scores_prompt = keys.reward.with_prompt;
  options.value_head.seed = mix_seed(seed, {kValueHeadStream});
  options.evaluation = keys.rollout.evaluation;
  options.seed = seed;
  return options;
}

}  // namespace cpx::recipes
