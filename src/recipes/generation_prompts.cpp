// SPDX-License-Identifier: Apache-2.0
#include "generation_prompts.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/data/text_file.h"
#include "cpx/models/load.h"
#include "cpx/tokenizer/limited.h"
#include "stop_tokens.h"
#include "train_data.h"

namespace cpx::recipes {

namespace {

using tokenizer::PromptTemplate;

// A prompt and where it stands: in the config, or in a file, where it has no key.
struct GivenPrompt {
  std::string where = {};
  std::string_view key = {};
  size_t number = 1;
  std::string text = {};
};

std::vector<GivenPrompt> given_prompts(const TrainConfig& config, ReadPrompts& read) {
  const SampleOptions& keys = config.training.save_samples;
  std::vector<GivenPrompt> prompts;
  const std::string_view key = "training.save_samples.prompts";
  for (const std::string& text : keys.prompts) {
    prompts.push_back({.where = std::string(config.sources.where(key)),
                       .key = key,
                       .number = prompts.size() + 1,
                       .text = text});
  }
  if (!keys.prompt_file) return prompts;
  data::TextFileContent content = data::read_texts(*keys.prompt_file, data::usual_prompt_keys());
  read.faults.append(content.faults);
  for (size_t i = 0; i < content.texts.size(); ++i) {
    prompts.push_back({.where = keys.prompt_file->string(),
                       .number = i + 1,
                       .text = std::move(content.texts[i])});
  }
  return prompts;
}

// The prompt in the encoder's template, up to where the answer begins.
std::vector<int64_t> prompt_ids(const data::TextEncoder& encoder, const std::string& prompt) {
  const bool is_chat = encoder.options().text_template == PromptTemplate::kChat;
  const std::array<tokenizer::ChatMessage, 1> question = {{{"user", prompt}}};
  const std::string text =
      is_chat ? encoder.chat_template().render(question, /*add_generation_prompt=*/true).text
              : encoder.render(prompt);
  return open_ids(encoder.tokenizer(), text, /*adds_special=*/!is_chat);
}

void add_prompt(const GivenPrompt& prompt, const data::TextEncoder& encoder, int64_t context,
                ReadPrompts& read) {
  const int64_t room = context - read.options.max_new_tokens;
  try {
    auto ids = prompt_ids(encoder, prompt.text);
    if (!ids.empty() && std::ssize(ids) <= room) {
      read.options.prompts.push_back({.text = prompt.text, .ids = std::move(ids)});
      return;
    }
    read.faults.add_at(prompt.where, prompt.key,
                       "prompt {}: got {} tokens, expected 1 to {} (the model's context of {} less "
                       "training.save_samples.max_new_tokens {}).",
                       prompt.number, ids.size(), room, context, read.options.max_new_tokens);
  } catch (const tokenizer::TokenBeyondModel& error) {
    read.faults.add_at(prompt.where, prompt.key, "prompt {}: {}", prompt.number, error.fault());
  }
}

}  // namespace

ReadPrompts read_generation_prompts(const TrainConfig& config, const data::TextEncoder& encoder,
                                    const formats::ModelConfig& model) {
  const int64_t context = models::model_shape(model).max_position;
  const int64_t max_new_tokens = config.training.save_samples.max_new_tokens;
  const bool is_chat = encoder.options().text_template == PromptTemplate::kChat;
  ReadPrompts read;
  read.options = {.max_new_tokens = max_new_tokens,
                  .stop_ids = stop_token_ids(model, encoder.tokenizer(), is_chat)};
  if (max_new_tokens >= context) {
    const std::string_view key = "training.save_samples.max_new_tokens";
    read.faults.add_at(
        config.sources.where(key), key,
        "got {}, expected less than {} (the model's context, which holds the prompt too).",
        max_new_tokens, context);
    return read;
  }
  for (const GivenPrompt& prompt : given_prompts(config, read)) {
    add_prompt(prompt, encoder, context, read);
  }
  return read;
}

std::unique_ptr<training::Generations> make_generations(const TrainConfig& config,
                                                        const data::TextEncoder& encoder) {
  if (config.generation_every_steps() == 0) return nullptr;
  ReadPrompts read =
      read_generation_prompts(config, encoder, models::read_config(config.model.path));
  throw_if_faulty(read.faults);
  return std::make_unique<training::Generations>(encoder.tokenizer(), std::move(read.options));
}

std::string generation_line(const TrainConfig& config, const training::GenerationOptions& options) {
  int64_t longest = 0;
  for (const training::GenerationPrompt& prompt : options.prompts) {
    longest = std::max(longest, std::ssize(prompt.ids));
  }
  return fmt::format("{} of at most {}, {} new ones; every {}",
                     counted(std::ssize(options.prompts), "prompt"), counted(longest, "token"),
                     options.max_new_tokens, counted(config.generation_every_steps(), "step"));
}

}  // namespace cpx::recipes
