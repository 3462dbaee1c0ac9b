// SPDX-License-Identifier: Apache-2.0
#include "prompt_data.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/core/text.h"
#include "cpx/core/text_hash.h"
#include "cpx/models/roberta.h"
#include "cpx/tokenizer/text_ends.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

// Streams of the run's seed.
constexpr uint64_t kRolloutStream = 0x726f6c6c;
constexpr uint64_t kValueHeadStream = 0x76616c75;

uint64_t seed_of(const TrainConfig& config) { return static_cast<uint64_t>(config.training.seed); }

data::PromptOptions prompt_options(const TrainConfig& config, bool is_trained_on) {
  const RolloutOptions& rollout = config.rollout;
  return {.min_tokens = rollout.min_prompt_tokens,
          .max_tokens = rollout.max_prompt_tokens,
          .append_rejected = rollout.append_rejected,
          .held_out = is_trained_on ? rollout.held_out : 0.0,
          .shuffle = config.data.shuffle,
          .seed = seed_of(config)};
}

std::string prompts_fingerprint(std::span<const data::PreferenceItem> items) {
  TextHash hash;
  for (const data::PreferenceItem& item : items) {
    hash.add_text(item.prompt);
    for (const std::string& text : item.rejected) hash.add_text(text);
  }
  return fmt::format("{} items, {}", items.size(), hash.hex());
}

std::vector<std::string> places_of(std::span<const data::PreferenceItem> items) {
  std::vector<std::string> places;
  for (const data::PreferenceItem& item : items) places.push_back(item.where);
  return places;
}

std::vector<int64_t> stop_ids(const RolloutOptions& rollout,
                              const tokenizer::Tokenizer& tokenizer) {
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

std::shared_ptr<nn::TextScorer> make_scorer(const RewardOptions& reward,
                                            const torch::Device& device) {
  if (!reward.words.empty()) return std::make_shared<training::WordListScorer>(reward.words);
  return models::load_text_scorer(*reward.model, device);
}

}  // namespace

training::RewardModel make_reward(const RewardOptions& reward, const torch::Device& device) {
  return {make_scorer(reward, device),
          {.label = reward.label,
           .output = static_cast<training::RewardOptions::Output>(reward.output),
           .scale = reward.scale}};
}

training::PpoStepOptions ppo_step_options(const TrainConfig& config,
                                          const tokenizer::Tokenizer& tokenizer) {
  const auto& ppo = std::get<PpoOptions>(config.objective);
  const RolloutOptions& rollout = config.rollout;
  return {.rollout = {.temperature = rollout.temperature,
                      .top_k = rollout.top_k,
                      .top_p = rollout.top_p,
                      .min_new_tokens = rollout.min_new_tokens,
                      .max_new_tokens = rollout.max_new_tokens,
                      .stop_ids = stop_ids(rollout, tokenizer),
                      .min_tokens_before_stop = rollout.min_tokens_before_stop,
                      .seed = mix_seed(seed_of(config), {kRolloutStream})},
          .batch_size = rollout.batch_size,
          .prompts_per_micro_batch = config.training.groups,
          .ppo_epochs = ppo.ppo_epochs,
          .scores_prompt = config.reward.with_prompt,
          .scores = {.missing_eos_penalty = ppo.missing_eos_penalty,
                     .use_score_scaling = ppo.use_score_scaling,
                     .use_score_norm = ppo.use_score_norm,
                     .score_clip = ppo.score_clip},
          .kl_penalty = static_cast<objectives::KlPenalty>(ppo.kl_penalty),
          .kl = {.init_kl_coef = ppo.init_kl_coef,
                 .adap_kl_ctrl = ppo.adap_kl_ctrl,
                 .target = ppo.target,
                 .horizon = ppo.horizon},
          .advantages = {.gamma = ppo.gamma, .lam = ppo.lam, .whiten_rewards = ppo.whiten_rewards},
          .objective = {.cliprange = ppo.cliprange,
                        .cliprange_value = ppo.cliprange_value,
                        .vf_coef = ppo.vf_coef,
                        .ratio_threshold = ppo.ratio_threshold},
          .early_stopping = ppo.early_stopping,
          .target_kl = ppo.target_kl,
          .value_head = {.dropout = ppo.value_head_dropout,
                         .init = static_cast<training::ValueHeadOptions::Init>(ppo.value_head_init),
                         .init_std = ppo.value_head_std,
                         .seed = mix_seed(seed_of(config), {kValueHeadStream})},
          .evaluates_greedily = rollout.evaluation == EvaluationSampling::kGreedy,
          .seed = seed_of(config)};
}

PromptData::PromptData(const TrainConfig& config, size_t num_files, data::PreferenceContent content,
                       std::shared_ptr<const data::TextEncoder> encoder, bool is_trained_on)
    : config_(config),
      num_files_(num_files),
      num_without_input_(content.num_without_input),
      places_(places_of(content.items)),
      fingerprint_(prompts_fingerprint(content.items)),
      encoder_(std::move(encoder)),
      prompts_(content.items, *encoder_, prompt_options(config, is_trained_on)) {
  const auto num_prompts = std::ssize(prompts_.train());
  if (is_trained_on && num_prompts < config.rollout.batch_size) {
    throw_<DataError>(
        "[ppo] got {} prompts to train on, expected at least {} for one rollout "
        "(rollout.batch_size). Lower it or add data.",
        num_prompts, config.rollout.batch_size);
  }
}

int64_t PromptData::num_units() const {
  const auto num_prompts = std::ssize(prompts_.train());
  const int64_t in_rollouts = num_prompts - num_prompts % config_.rollout.batch_size;
  return in_rollouts * std::get<PpoOptions>(config_.objective).ppo_epochs;
}

std::string PromptData::summary() const {
  const std::string held_out =
      prompts_.held_out().empty() ? "" : fmt::format(", {} held out", prompts_.held_out().size());
  return fmt::format("{}, {}: {} used{}, {} shorter than {} tokens{}",
                     counted(static_cast<int64_t>(num_files_), "file"),
                     counted(std::ssize(places_), "prompt"), prompts_.train().size(), held_out,
                     prompts_.num_short(), config_.rollout.min_prompt_tokens,
                     without_input_part(num_without_input_));
}

std::string PromptData::ends() const {
  return tokenizer::describe_ends(encoder_->tokenizer(), prompts_.train().front().ids, "prompts");
}

std::string PromptData::lengths() const {
  int64_t tokens = 0;
  int64_t longest = 0;
  for (const data::Prompt& prompt : prompts_.train()) {
    tokens += std::ssize(prompt.ids);
    longest = std::max(longest, std::ssize(prompt.ids));
  }
  const auto count = static_cast<double>(prompts_.train().size());
  return fmt::format("prompts of {:.1f} tokens on average, the longest {}; {} to {} new ones",
                     static_cast<double>(tokens) / count, longest, config_.rollout.min_new_tokens,
                     config_.rollout.max_new_tokens);
}

void PromptData::check_fit(const nn::ModelShape& model) const {
  const auto options = ppo_step_options(config_, encoder_->tokenizer()).rollout;
  training::check_rollout(prompts_.train(), options, model.max_position);
}

std::string PromptData::not_counted(const nn::ModelShape& model) const {
  constexpr double kMib = 1024.0 * 1024.0;
  const RolloutOptions& rollout = config_.rollout;
  int64_t longest = 0;
  for (const data::Prompt& prompt : prompts_.train()) {
    longest = std::max(longest, std::ssize(prompt.ids));
  }
  const int64_t tokens = rollout.batch_size * (longest + rollout.max_new_tokens);
  const int64_t values = 2 * model.num_layers * model.num_kv_heads * model.head_dim * tokens;
  return fmt::format("not counted: keys and values of a rollout, {:.0f} MiB in float32{}",
                     4.0 * static_cast<double>(values) / kMib,
                     config_.reward.model ? "; the classifier" : "");
}

// Every response as long as it may get. The passes over a rollout are alike.
BatchSizes PromptData::measure_batches(int64_t num_epochs) const {
  BatchMeter meter;
  const auto in_batch = static_cast<size_t>(config_.training.groups);
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = prompts_.epoch_order(epoch);
    for (size_t begin = 0; begin + in_batch <= order.size(); begin += in_batch) {
      BatchSize batch{.texts = config_.training.groups};
      for (size_t i = begin; i < begin + in_batch; ++i) {
        const auto& prompt = prompts_.train()[static_cast<size_t>(order[i])];
        const int64_t length = std::ssize(prompt.ids) + config_.rollout.max_new_tokens;
        batch.tokens += length;
        batch.longest_text = std::max(batch.longest_text, length);
      }
      meter.add(batch);
    }
  }
  return meter.sizes();
}

void PromptData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = prompts_.epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const data::Prompt& prompt = prompts_.train()[static_cast<size_t>(order[i])];
    std::cout << fmt::format("{}Prompt {} of {} (epoch 0): {}, {} tokens\n", i > 0 ? "\n" : "",
                             i + 1, order.size(), places_[static_cast<size_t>(prompt.item)],
                             prompt.ids.size())
              << token_table(encoder_->tokenizer(), prompt.ids, /*width=*/100,
                             /*num_given=*/prompt.ids.size());
  }
}

std::unique_ptr<training::StepTask> PromptData::make_task(const TrainData* evaluation,
                                                          const TaskContext& context) const {
  const auto& eval_prompts = evaluation != nullptr
                                 ? static_cast<const PromptData*>(evaluation)->prompts_.train()
                                 : prompts_.held_out();
  training::PpoStepOptions options = ppo_step_options(config_, encoder_->tokenizer());
  options.reference = context.reference.policy;
  return std::make_unique<training::PpoStep>(
      *context.model, prompts_, eval_prompts, encoder_->tokenizer(),
      make_reward(config_.reward, context.model->device()), options);
}

}  // namespace cpx::recipes
