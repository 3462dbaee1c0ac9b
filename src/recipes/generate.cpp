// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/generate.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/data/text_file.h"
#include "cpx/formats/peft.h"
#include "cpx/generation/decoder.h"
#include "cpx/generation/text_stream.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"
#include "cpx/tokenizer/chat_template.h"
#include "faults.h"

namespace cpx::recipes {

namespace {

using generation::Continuation;
using tokenizer::ChatMessage;
using tokenizer::TokenId;

constexpr int kDone = 0;
constexpr int kInterrupted = 1;
// Tokens with which chat models end an answer, where EOS is another.
constexpr const char* kAnswerEnds[] = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>"};

// A continuation as text.
struct Answer {
  uint64_t prompt = 0;
  int64_t sample = 0;
  std::string side = {};  // "base", "adapter", or "" where there is one
  std::string text = {};
  int64_t num_tokens = 0;
  generation::FinishReason reason = generation::FinishReason::kLength;
};

const char* reason_name(generation::FinishReason reason) {
  switch (reason) {
    case generation::FinishReason::kStopToken:
      return "stop_token";
    case generation::FinishReason::kStopString:
      return "stop_string";
    default:
      return "length";
  }
}

std::vector<std::string> read_prompts(const GenerateCommand& command) {
  std::vector<std::string> prompts = command.prompts;
  if (command.input) {
    data::TextFileContent content = data::read_texts(*command.input);
    throw_first_of(content.faults);
    prompts.insert(prompts.end(), content.texts.begin(), content.texts.end());
  }
  return prompts;
}

// A model that continues texts: what its tokens are and how it is asked.
class Writer {
 public:
  explicit Writer(const GenerateCommand& command)
      : command_(command), tokenizer_(models::read_tokenizer(command.model)) {
    uses_chat_ = command.prompt_template == "chat" ||
                 (command.prompt_template == "auto" && !tokenizer_->chat_template().empty());
    const torch::Device device = tensor::resolve_device(command.device);
    const auto wanted = tensor::parse_compute_dtype(command.dtype);
    model_ = models::load_model(command.model,
                                wanted ? *wanted : tensor::choose_compute_dtype(device), device);
    if (command.adapter) models::attach_adapter(*model_, formats::read_peft(*command.adapter));
    log_info("{}{} in {} on {}", command.model.string(),
             command.adapter ? " + " + command.adapter->string() : "",
             tensor::dtype_name(model_->dtype()), tensor::device_description(device));
  }

  bool uses_chat() const { return uses_chat_; }

  // Ids of a prompt by itself.
  std::vector<int64_t> ids_of(const std::string& prompt) const {
    if (uses_chat_) return ids_of(conversation_with(prompt));
    if (command_.prompt_template == "llama2" || command_.prompt_template == "tulu") {
      const auto frame = tokenizer::parse_prompt_template(command_.prompt_template);
      return encoded(tokenizer::render_training_text(frame, prompt), /*adds_special=*/true);
    }
    return encoded(prompt, /*adds_special=*/true);
  }

  // Ids of a conversation up to where the answer begins.
  std::vector<int64_t> ids_of(const std::vector<ChatMessage>& messages) const {
    const auto spelling = [this](std::optional<TokenId> id) {
      return id ? tokenizer_->piece(*id) : std::string();
    };
    return encoded(
        tokenizer::render_chat(tokenizer_->chat_template(), messages,
                               /*add_generation_prompt=*/true, spelling(tokenizer_->bos_id()),
                               spelling(tokenizer_->eos_id())),
        /*adds_special=*/false);
  }

  std::vector<ChatMessage> conversation_with(const std::string& message) const {
    std::vector<ChatMessage> messages;
    if (!command_.system.empty()) messages.push_back({"system", command_.system});
    messages.push_back({"user", message});
    return messages;
  }

  using OnPiece = std::function<void(const Answer& answer, const std::string& piece)>;

  // Continues all prompts; `on_piece` sees the text as it comes, `on_answer` each whole one.
  generation::DecoderStatistics write(const std::vector<std::vector<int64_t>>& prompts,
                                      const std::string& side, const OnPiece& on_piece,
                                      const std::function<void(Answer)>& on_answer) {
    std::map<std::pair<uint64_t, int64_t>, generation::TextStream> streams;
    const auto stream_of = [&](uint64_t prompt, int64_t sample) -> generation::TextStream& {
      return streams
          .try_emplace({prompt, sample}, *tokenizer_, prompts.at(prompt), command_.stop_strings)
          .first->second;
    };
    const auto tell = [&](uint64_t prompt, int64_t sample, const std::string& piece) {
      if (on_piece && !piece.empty()) {
        on_piece({.prompt = prompt, .sample = sample, .side = side}, piece);
      }
    };
    const generation::DecoderListener listener{
        .on_token =
            [&](uint64_t prompt, int64_t sample, int64_t id) {
              generation::TextStream& stream = stream_of(prompt, sample);
              tell(prompt, sample, stream.add(id));
              return stream.is_stopped();
            },
        .on_finished =
            [&](Continuation end) {
              generation::TextStream& stream = stream_of(end.prompt, end.sample);
              tell(end.prompt, end.sample, stream.finish());
              on_answer({.prompt = end.prompt,
                         .sample = end.sample,
                         .side = side,
                         .text = stream.text(),
                         .num_tokens = std::ssize(end.ids),
                         .reason = end.reason});
              streams.erase({end.prompt, end.sample});
            },
        .goes_on = [] { return !interrupt_requested(); }};
    uint64_t next = 0;
    return generation::Decoder(*model_, decoder_options(prompts))
        .run(
            [&]() -> std::optional<generation::Prompt> {
              if (next == prompts.size()) return std::nullopt;
              const uint64_t number = next++;
              return generation::Prompt{
                  .ids = prompts[number], .number = number, .num_samples = command_.samples};
            },
            listener);
  }

 private:
  std::vector<int64_t> encoded(const std::string& text, bool adds_special) const {
    const auto encoding = tokenizer_->encode(text, adds_special);
    std::vector<int64_t> ids(encoding.ids.begin(), encoding.ids.end());
    const auto eos = tokenizer_->eos_id();
    if (adds_special && ids.size() > 1 && eos && ids.back() == *eos) ids.pop_back();
    return ids;
  }

  generation::DecoderOptions decoder_options(
      const std::vector<std::vector<int64_t>>& prompts) const {
    generation::DecoderOptions options{.sampling = command_.sampling,
                                       .seed = command_.seed,
                                       .batch_size = command_.batch_size,
                                       .max_prompt_tokens = 1,
                                       .samples_per_prompt = command_.samples};
    const int64_t room = model_->shape().max_position - command_.sampling.max_new_tokens;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto length = std::ssize(prompts[i]);
      if (length == 0 || length > room) {
        throw_<DataError>(
            "[prompt {}] got {} tokens, expected 1 to {} (the model's context of {} less "
            "--max-new-tokens {}).",
            i + 1, length, room, model_->shape().max_position, command_.sampling.max_new_tokens);
      }
      options.max_prompt_tokens = std::max(options.max_prompt_tokens, length);
    }
    const auto total = std::ssize(prompts) * command_.samples;
    options.batch_size = std::clamp<int64_t>(total, 1, options.batch_size);
    if (const auto eos = tokenizer_->eos_id()) options.sampling.stop_ids.push_back(*eos);
    for (const char* piece : kAnswerEnds) {
      const auto id = tokenizer_->find(piece);
      if (uses_chat_ && id && tokenizer_->is_special(*id)) {
        options.sampling.stop_ids.push_back(*id);
      }
    }
    return options;
  }

  const GenerateCommand& command_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::shared_ptr<models::Llama> model_;
  bool uses_chat_ = false;
};

// ---- Prompts ------------------------------------------------------------------------------------

std::string answers_as_json(const std::vector<std::string>& prompts,
                            const std::vector<Answer>& answers) {
  std::string lines;
  for (const Answer& answer : answers) {
    nlohmann::ordered_json line = {{"prompt", prompts[answer.prompt]}, {"sample", answer.sample}};
    if (!answer.side.empty()) line["side"] = answer.side;
    line["text"] = answer.text;
    line["tokens"] = answer.num_tokens;
    line["finish"] = reason_name(answer.reason);
    lines += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return lines;
}

void print_answers(const std::vector<std::string>& prompts, const std::vector<Answer>& answers) {
  std::optional<uint64_t> before;
  for (const Answer& answer : answers) {
    if (answer.prompt != before) std::cout << "== " << prompts[answer.prompt] << "\n";
    before = answer.prompt;
    std::cout << "-- " << answer.sample + 1
              << (answer.side.empty() ? std::string() : ", " + answer.side) << "\n"
              << answer.text << "\n";
  }
}

// The sides that are asked for: name, and whether the adapter takes part.
std::vector<std::pair<std::string, bool>> sides_of(const GenerateCommand& command) {
  if (command.compare) return {{"base", false}, {"adapter", true}};
  return {{"", true}};
}

int answer_prompts(const GenerateCommand& command, const std::vector<std::string>& prompts) {
  Writer writer(command);
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& prompt : prompts) ids.push_back(writer.ids_of(prompt));

  const bool streams =
      prompts.size() == 1 && command.samples == 1 && !command.compare && !command.output;
  const auto total =
      static_cast<int64_t>(prompts.size() * sides_of(command).size()) * command.samples;
  std::vector<Answer> answers;
  generation::DecoderStatistics sum;
  const auto start = std::chrono::steady_clock::now();
  {
    std::optional<Progress> progress;
    if (!streams) progress.emplace("generate", total);
    Writer::OnPiece on_piece;
    if (streams) {
      on_piece = [](const Answer&, const std::string& piece) { std::cout << piece << std::flush; };
    }
    for (const auto& [side, has_adapter] : sides_of(command)) {
      std::optional<nn::AdapterOffGuard> off;
      if (!has_adapter) off.emplace();
      const auto statistics = writer.write(ids, side, on_piece, [&](Answer answer) {
        answers.push_back(std::move(answer));
        if (progress) progress->update(std::ssize(answers), "texts");
      });
      sum.num_new_tokens += statistics.num_new_tokens;
      sum.num_prompt_tokens += statistics.num_prompt_tokens;
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (streams) std::cout << "\n";
  log_info("{} prompt tokens, {} new tokens in {:.1f} s: {:.1f} new tokens a second",
           sum.num_prompt_tokens, sum.num_new_tokens, elapsed.count(),
           static_cast<double>(sum.num_new_tokens) / elapsed.count());
  if (interrupt_requested()) {
    log_warning("interrupted: nothing was written");
    return kInterrupted;
  }
  std::ranges::stable_sort(
      answers, {}, [](const Answer& answer) { return std::pair(answer.prompt, answer.sample); });
  if (command.output) {
    write_file_atomically(*command.output, answers_as_json(prompts, answers));
  } else if (!streams) {
    print_answers(prompts, answers);
  }
  return kDone;
}

// ---- A conversation -----------------------------------------------------------------------------

// Lines of standard input are the user's turns; /reset begins anew, /exit or its end ends.
int converse(const GenerateCommand& command) {
  Writer writer(command);
  std::vector<ChatMessage> messages;
  log_info("{}; /reset begins anew, /exit ends",
           writer.uses_chat() ? "a conversation by the model's chat template"
                              : "each line is continued by itself: the model has no chat template");
  for (std::string line; std::cerr << "> " << std::flush, std::getline(std::cin, line);) {
    if (interrupt_requested() || line == "/exit") break;
    if (line == "/reset") messages.clear();
    if (line.empty() || line == "/reset") continue;
    if (messages.empty()) {
      messages = writer.conversation_with(line);
    } else {
      messages.push_back({"user", line});
    }
    const auto ids = writer.uses_chat() ? writer.ids_of(messages) : writer.ids_of(line);
    writer.write(
        {ids}, "",
        [](const Answer&, const std::string& piece) { std::cout << piece << std::flush; },
        [&](const Answer& answer) {
          messages.push_back({"assistant", answer.text});
        });
    std::cout << std::endl;
  }
  return interrupt_requested() ? kInterrupted : kDone;
}

void check_output_folder(const GenerateCommand& command) {
  if (!command.output) return;
  const std::filesystem::path folder = std::filesystem::absolute(*command.output).parent_path();
  if (!std::filesystem::is_directory(folder)) {
    throw_<DataError>("[--output] '{}' cannot be written: there is no folder '{}'. Make it first.",
                      command.output->string(), folder.string());
  }
}

}  // namespace

int run_generate(const GenerateCommand& command) {
  generation::check(command.sampling);
  check_output_folder(command);
  const std::vector<std::string> prompts = read_prompts(command);
  if (command.prompts.empty() && !command.input) return converse(command);
  return answer_prompts(command, prompts);
}

}  // namespace cpx::recipes
