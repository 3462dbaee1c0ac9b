// SPDX-License-Identifier: Apache-2.0
#include "prompt_data.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/preferences.h"
#include "cpx/tokenizer/text_ends.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

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

// Prompts to train on, of which `rollout.held_out` are held out, or to evaluate on.
class PromptData : public TrainData {
 public:
  // Throws DataError where no item gives a prompt, or there are fewer to train on than a rollout
  // takes.
  PromptData(const TrainConfig& config, const PpoKeys& keys, DataFiles files,
             const data::PreferenceContent& content)
      : config_(config),
        keys_(keys),
        num_files_(files.files.size()),
        num_without_input_(content.num_without_input),
        places_(places_of(content.items)),
        fingerprint_(prompts_fingerprint(content.items)),
        encoder_(std::move(files.encoder)),
        prompts_(content.items, *encoder_, prompt_options(files.is_trained_on)) {
    const auto num_prompts = std::ssize(prompts_.train());
    if (files.is_trained_on && num_prompts < keys.rollout.batch_size) {
      throw_<DataError>(
          "[ppo] got {} prompts to train on, expected at least {} for one rollout "
          "(rollout.batch_size). Lower it or add data.",
          num_prompts, keys.rollout.batch_size);
    }
  }

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

  const data::Prompts& prompts() const { return prompts_; }
  const data::TextEncoder& encoder() const { return *encoder_; }

 private:
  data::PromptOptions prompt_options(bool is_trained_on) const {
    data::PromptOptions options = keys_.rollout.prompts;
    if (!is_trained_on) options.held_out = 0.0;
    options.shuffle = config_.data.shuffle;
    options.seed = static_cast<uint64_t>(config_.training.seed);
    return options;
  }

  const TrainConfig& config_;
  const PpoKeys& keys_;
  size_t num_files_;
  int64_t num_without_input_;
  std::vector<std::string> places_;  // of the items, for messages
  std::string fingerprint_;
  std::shared_ptr<const data::TextEncoder> encoder_;
  data::Prompts prompts_;
};

int64_t PromptData::num_units() const {
  const auto num_prompts = std::ssize(prompts_.train());
  const int64_t in_rollouts = num_prompts - num_prompts % keys_.rollout.batch_size;
  return in_rollouts * keys_.step.ppo_epochs;
}

std::string PromptData::summary() const {
  const std::string held_out =
      prompts_.held_out().empty() ? "" : fmt::format(", {} held out", prompts_.held_out().size());
  return fmt::format("{}, {}: {} used{}, {} shorter than {} tokens{}",
                     counted(static_cast<int64_t>(num_files_), "file"),
                     counted(std::ssize(places_), "prompt"), prompts_.train().size(), held_out,
                     prompts_.num_short(), keys_.rollout.prompts.min_tokens,
                     without_input_part(num_without_input_));
}

std::string PromptData::ends() const {
  return tokenizer::describe_ends(encoder_->tokenizer(), prompts_.train().front().ids, "prompts");
}

std::string PromptData::lengths() const {
  int64_t tokens = 0;
  int64_t longest = 0;
  for (const data::EncodedPrompt& prompt : prompts_.train()) {
    tokens += std::ssize(prompt.ids);
    longest = std::max(longest, std::ssize(prompt.ids));
  }
  const auto count = static_cast<double>(prompts_.train().size());
  return fmt::format("prompts of {:.1f} tokens on average, the longest {}; {} to {} new ones",
                     static_cast<double>(tokens) / count, longest,
                     keys_.rollout.sampling.min_new_tokens, keys_.rollout.sampling.max_new_tokens);
}

void PromptData::check_fit(const nn::ModelShape& model) const {
  const auto options = ppo_step_options(keys_, config_, encoder_->tokenizer()).rollout;
  training::check_rollout(prompts_.train(), options, model.max_position);
}

std::string PromptData::not_counted(const nn::ModelShape& model) const {
  constexpr double kMib = 1024.0 * 1024.0;
  const RolloutKeys& rollout = keys_.rollout;
  int64_t longest = 0;
  for (const data::EncodedPrompt& prompt : prompts_.train()) {
    longest = std::max(longest, std::ssize(prompt.ids));
  }
  const int64_t tokens = rollout.batch_size * (longest + rollout.sampling.max_new_tokens);
  const int64_t values = 2 * model.num_layers * model.num_kv_heads * model.head_dim * tokens;
  return fmt::format("not counted: keys and values of a rollout, {:.0f} MiB in float32{}",
                     4.0 * static_cast<double>(values) / kMib,
                     keys_.reward.model ? "; the classifier" : "");
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
        const int64_t length = std::ssize(prompt.ids) + keys_.rollout.sampling.max_new_tokens;
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
    const data::EncodedPrompt& prompt = prompts_.train()[static_cast<size_t>(order[i])];
    std::cout << fmt::format("{}Prompt {} of {} (epoch 0): {}, {} tokens\n", i > 0 ? "\n" : "",
                             i + 1, order.size(), places_[static_cast<size_t>(prompt.item)],
                             prompt.ids.size())
              << token_table(encoder_->tokenizer(), prompt.ids, /*width=*/100,
                             /*num_given=*/prompt.ids.size());
  }
}

std::unique_ptr<PromptData> read_prompt_data(const TrainConfig& config, const PpoKeys& keys,
                                             DataFiles files, Faults& faults) {
  const data::PreferenceContent content = data::read_prompts(files.files, keys.rollout.prompt);
  faults.append(content.faults);
  if (files.encoder == nullptr || (content.items.empty() && !faults.empty())) return nullptr;
  return std::make_unique<PromptData>(config, keys, std::move(files), content);
}

std::unique_ptr<training::StepTask> make_ppo_task(const TrainConfig& config, const PpoKeys& keys,
                                                  const PromptData& train, const PromptData* eval,
                                                  const TaskContext& context) {
  const auto& eval_prompts = eval != nullptr ? eval->prompts().train() : train.prompts().held_out();
  const tokenizer::Tokenizer& tokenizer = train.encoder().tokenizer();
  training::PpoStepOptions options = ppo_step_options(keys, config, tokenizer);
  options.reference = context.reference.policy;
  return std::make_unique<training::PpoStep>(
      *context.model, train.prompts(), eval_prompts, tokenizer,
      make_reward(keys.reward, context.model->device()), options);
}

}  // namespace

std::unique_ptr<RunData> prompt_run_data(const TrainConfig& config, const PpoKeys& keys) {
  return std::make_unique<RunDataOf<PromptData>>(
      [&](DataFiles files, Faults& faults) {
        return read_prompt_data(config, keys, std::move(files), faults);
      },
      [&](const PromptData& train, const PromptData* eval, const TaskContext& context) {
        return make_ppo_task(config, keys, train, eval, context);
      });
}

}  // namespace cpx::recipes
