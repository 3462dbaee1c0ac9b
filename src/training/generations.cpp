// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/generations.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/text.h"
#include "cpx/generation/text_generator.h"
#include "cpx/generation/text_stream.h"
#include "stopwatch.h"

namespace cpx::training {

namespace {

// Prompts that are continued at once.
constexpr int64_t kMaxSequences = 20;

generation::TextGeneratorOptions generator_options(const GenerationOptions& options) {
  const auto num_prompts = std::ssize(options.prompts);
  generation::TextGeneratorOptions generator{
      .sampling = {.temperature = 0.0,
                   .max_new_tokens = options.max_new_tokens,
                   .stop_ids = options.stop_ids},
      .batch_size = std::min<int64_t>(num_prompts, kMaxSequences),
      .max_prompt_tokens = 1};
  for (const GenerationPrompt& prompt : options.prompts) {
    generator.max_prompt_tokens = std::max(generator.max_prompt_tokens, std::ssize(prompt.ids));
  }
  return generator;
}

}  // namespace

Generations::Generations(const tokenizer::Tokenizer& tokenizer, GenerationOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)) {
  CPX_CHECK(!options_.prompts.empty(), "[generations] got {} prompts, expected at least 1.",
            options_.prompts.size());
}

void Generations::begin_run(const std::filesystem::path& run_folder) {
  file_ = std::make_unique<OutputFile>(run_folder / kGenerationsFile, OutputFile::Mode::kAppend);
}

void Generations::add(nn::CausalLm& model, int64_t step) {
  CPX_CHECK(file_ != nullptr, "[generations] step {}: expected begin_run() before it.", step);
  const auto start = Clock::now();
  const std::vector<std::string> texts = texts_of(model);
  std::string lines;
  for (size_t i = 0; i < texts.size(); ++i) {
    const nlohmann::ordered_json line = {
        {"step", step}, {"prompt", options_.prompts[i].text}, {"text", texts[i]}};
    lines += line.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
    lines += '\n';
  }
  file_->write(lines);
  file_->flush();
  log_info("step {}: wrote {} of training.save_samples in {:.1f} s", step,
           counted(std::ssize(texts), "text"), seconds_since(start));
}

std::vector<std::string> Generations::texts_of(nn::CausalLm& model) const {
  std::vector<generation::Prompt> prompts;
  for (const GenerationPrompt& prompt : options_.prompts) {
    prompts.push_back({.ids = prompt.ids, .number = static_cast<uint64_t>(prompts.size())});
  }
  std::vector<std::string> texts;
  for (const auto& answer :
       generation::continue_prompts(model, prompts, generator_options(options_))) {
    generation::TextStream stream(tokenizer_, prompts[answer.prompt].ids);
    std::string text;
    for (const int64_t id : answer.ids) text += stream.add(id);
    texts.push_back(text + stream.finish());
  }
  return texts;
}

}  // namespace cpx::training
