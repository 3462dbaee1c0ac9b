// SPDX-License-Identifier: Apache-2.0
#include "text_writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/text_file.h"
#include "cpx/formats/peft.h"
#include "cpx/generation/text_stream.h"
#include "cpx/models/load.h"
#include "cpx/nn/frozen_module.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/text_ends.h"
#include "stop_tokens.h"

namespace cpx::recipes {

namespace {

using generation::Continuation;
using generation::Prompt;
using tokenizer::ChatMessage;
using tokenizer::TokenId;

// The texts of the samples that are being written.
class RunningTexts {
 public:
  RunningTexts(const tokenizer::Tokenizer& tokenizer, const std::vector<std::string>& stop_strings)
      : tokenizer_(tokenizer), stop_strings_(stop_strings) {}

  void begin(const Prompt& prompt) {
    prompts_[prompt.number] = {.ids = prompt.ids, .num_left = prompt.num_samples};
  }

  generation::TextStream& of(uint64_t prompt, int64_t sample) {
    return streams_
        .try_emplace({prompt, sample}, tokenizer_, prompts_.at(prompt).ids, stop_strings_)
        .first->second;
  }

  void end(uint64_t prompt, int64_t sample) {
    streams_.erase({prompt, sample});
    if (--prompts_.at(prompt).num_left == 0) prompts_.erase(prompt);
  }

 private:
  struct RunningPrompt {
    std::vector<int64_t> ids = {};
    int64_t num_left = 0;
  };

  const tokenizer::Tokenizer& tokenizer_;
  const std::vector<std::string>& stop_strings_;
  std::map<uint64_t, RunningPrompt> prompts_;
  std::map<std::pair<uint64_t, int64_t>, generation::TextStream> streams_;
};

}  // namespace

const char* finish_name(generation::FinishReason reason) {
  switch (reason) {
    case generation::FinishReason::kStopToken:
      return "stop_token";
    case generation::FinishReason::kStopString:
      return "stop_string";
    default:
      return "length";
  }
}

torch::Dtype compute_dtype(const Decoding& decoding) {
  const auto wanted = tensor::parse_compute_dtype(decoding.dtype);
  return wanted
             ? *wanted
             : models::decoding_dtype(decoding.model, models::parse_weight_format(decoding.weights),
                                      tensor::resolve_device(decoding.device));
}

TextWriter::TextWriter(const Decoding& decoding)
    : decoding_(decoding), tokenizer_(models::read_tokenizer(decoding.model)) {
  chat_template_ =
      decoding.chat_template ? read_text(*decoding.chat_template) : tokenizer_->chat_template();
  uses_chat_ =
      decoding.prompt_form == "chat" || (decoding.prompt_form == "auto" && !chat_template_.empty());
  if (!uses_chat_ && !decoding.system.empty()) {
    throw_<ConfigError>(
        "[command line] --system: has no effect with {}: the model has no chat template. Leave it "
        "out.",
        decoding.model.string());
  }
  const torch::Device device = tensor::resolve_device(decoding.device);
  model_ = models::load_for_decoding(decoding.model, models::parse_weight_format(decoding.weights),
                                     compute_dtype(decoding), device);
  if (device.is_cpu()) nn::hold_in_memory(*model_);
  if (decoding.adapter) models::attach_adapter(*model_, formats::read_peft(*decoding.adapter));
  log_info("{}{} in {} on {}", describe_model(decoding.model),
           decoding.adapter ? " + " + describe_model(*decoding.adapter) : "",
           models::weight_types(*model_), tensor::device_description(device));
  const std::vector<int64_t> sample = ids_of("every prompt", "a");
  log_info("{}", tokenizer::describe_ends(
                     *tokenizer_, std::vector<TokenId>(sample.begin(), sample.end()), "prompts"));
}

std::vector<int64_t> TextWriter::ids_of(std::string_view where, const std::string& prompt) const {
  const std::vector<int64_t> ids = tokenizer::at_place(where, [&] { return ids_of(prompt); });
  check_length(where, std::ssize(ids));
  return ids;
}

std::vector<int64_t> TextWriter::ids_of(const std::string& prompt) const {
  if (uses_chat_) return ids_of(conversation_with(prompt));
  if (decoding_.prompt_form == "llama2" || decoding_.prompt_form == "tulu") {
    const auto frame = tokenizer::parse_prompt_template(decoding_.prompt_form);
    return open_ids(*tokenizer_, tokenizer::render_training_text(frame, prompt),
                    /*adds_special=*/true);
  }
  return open_ids(*tokenizer_, prompt, /*adds_special=*/true);
}

std::vector<int64_t> TextWriter::ids_of(std::string_view where,
                                        const std::vector<ChatMessage>& messages) const {
  const std::vector<int64_t> ids = tokenizer::at_place(where, [&] { return ids_of(messages); });
  check_length(where, std::ssize(ids));
  return ids;
}

std::vector<int64_t> TextWriter::ids_of(const std::vector<ChatMessage>& messages) const {
  const auto spelling = [this](std::optional<TokenId> id) {
    return id ? tokenizer_->piece(*id) : std::string();
  };
  return open_ids(
      *tokenizer_,
      tokenizer::render_chat(chat_template_, messages,
                             /*add_generation_prompt=*/true, spelling(tokenizer_->bos_id()),
                             spelling(tokenizer_->eos_id())),
      /*adds_special=*/false);
}

std::vector<ChatMessage> TextWriter::conversation_with(const std::string& message) const {
  std::vector<ChatMessage> messages;
  if (!decoding_.system.empty()) messages.push_back({"system", decoding_.system});
  messages.push_back({"user", message});
  return messages;
}

std::string TextWriter::piece(int64_t id) const {
  return tokenizer_->piece(static_cast<TokenId>(id));
}

void TextWriter::check_length(std::string_view where, int64_t num_tokens) const {
  const int64_t context = model_->shape().max_position;
  const int64_t room = context - decoding_.sampling.max_new_tokens;
  if (num_tokens > 0 && num_tokens <= room) return;
  throw_<DataError>(
      "[{}] got {} tokens, expected 1 to {} (the model's context of {} less --max-new-tokens {}).",
      where, num_tokens, room, context, decoding_.sampling.max_new_tokens);
}

generation::TextGeneratorStatistics TextWriter::write(const WriterRun& run) {
  RunningTexts texts(*tokenizer_, decoding_.stop_strings);
  const auto tell = [&](uint64_t prompt, int64_t sample, const std::string& piece) {
    if (run.on_piece && !piece.empty()) run.on_piece(prompt, sample, piece);
  };
  const generation::TextGeneratorListener listener{
      .on_token =
          [&](uint64_t prompt, int64_t sample, int64_t id) {
            generation::TextStream& stream = texts.of(prompt, sample);
            tell(prompt, sample, stream.add(id));
            return stream.is_stopped();
          },
      .on_finished =
          [&](Continuation end) {
            generation::TextStream& stream = texts.of(end.prompt, end.sample);
            tell(end.prompt, end.sample, stream.finish());
            Answer answer{.prompt = end.prompt,
                          .sample = end.sample,
                          .text = stream.text(),
                          .num_tokens = std::ssize(end.ids),
                          .reason = end.reason};
            if (decoding_.log_probs) {
              if (end.stop_id) end.ids.push_back(*end.stop_id);
              answer.ids = std::move(end.ids);
              answer.log_probs = std::move(end.log_probs);
            }
            run.on_answer(std::move(answer));
            texts.end(end.prompt, end.sample);
          },
      .goes_on = [] { return !interrupt_requested(); }};
  const auto next = [&] {
    std::optional<Prompt> prompt = run.next();
    if (prompt) {
      prompt->num_samples = decoding_.samples;
      texts.begin(*prompt);
    }
    return prompt;
  };
  return generation::TextGenerator(*model_, generator_options(run)).run(next, listener);
}

generation::TextGeneratorOptions TextWriter::generator_options(const WriterRun& run) const {
  generation::TextGeneratorOptions options{.sampling = decoding_.sampling,
                                           .seed = decoding_.seed,
                                           .batch_size = decoding_.batch_size,
                                           .max_prompt_tokens = run.max_prompt_tokens,
                                           .samples_per_prompt = decoding_.samples,
                                           .log_probs = decoding_.log_probs};
  options.batch_size =
      std::clamp<int64_t>(run.num_prompts * decoding_.samples, 1, options.batch_size);
  std::ranges::copy(stop_token_ids(model_->config(), *tokenizer_, uses_chat_),
                    std::back_inserter(options.sampling.stop_ids));
  return options;
}

}  // namespace cpx::recipes
