// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/generate.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/core/text_file.h"
#include "cpx/data/text_file.h"
#include "exit_status.h"
#include "faults.h"
#include "text_writer.h"

namespace cpx::recipes {

namespace {

using tokenizer::ChatMessage;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// An answer of the base, of the adapter, or ("") of the one that there is.
struct SidedAnswer {
  std::string side = {};
  Answer answer = {};
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

// ---- Prompts ------------------------------------------------------------------------------------

std::string answers_as_json(const std::vector<std::string>& prompts,
                            const std::vector<SidedAnswer>& answers) {
  std::string lines;
  for (const auto& [side, answer] : answers) {
    nlohmann::ordered_json line = {{"prompt", prompts[answer.prompt]}, {"sample", answer.sample}};
    if (!side.empty()) line["side"] = side;
    line["text"] = answer.text;
    line["tokens"] = answer.num_tokens;
    line["finish"] = reason_name(answer.reason);
    lines += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return lines;
}

void print_answers(const std::vector<std::string>& prompts,
                   const std::vector<SidedAnswer>& answers) {
  std::optional<uint64_t> before;
  for (const auto& [side, answer] : answers) {
    if (answer.prompt != before) std::cout << "== " << prompts[answer.prompt] << "\n";
    before = answer.prompt;
    std::cout << "-- " << answer.sample + 1 << (side.empty() ? std::string() : ", " + side) << "\n"
              << answer.text << "\n";
  }
}

// The sides that are asked for: name, and whether the adapter takes part.
std::vector<std::pair<std::string, bool>> sides_of(const GenerateCommand& command) {
  if (command.compare) return {{"base", false}, {"adapter", true}};
  return {{"", true}};
}

void print_piece(uint64_t, int64_t, const std::string& piece) { std::cout << piece << std::flush; }

// Prompts with their numbers, one after the other.
WriterRun run_of(const std::vector<std::vector<int64_t>>& prompts) {
  WriterRun run{
      .next = [&prompts, next = size_t(0)]() mutable -> std::optional<generation::Prompt> {
        if (next == prompts.size()) return std::nullopt;
        const size_t number = next++;
        return generation::Prompt{.ids = prompts[number], .number = number};
      },
      .num_prompts = std::ssize(prompts)};
  for (const auto& ids : prompts) {
    run.max_prompt_tokens = std::max(run.max_prompt_tokens, std::ssize(ids));
  }
  return run;
}

std::vector<std::vector<int64_t>> ids_of(const TextWriter& writer,
                                         const std::vector<std::string>& prompts) {
  std::vector<std::vector<int64_t>> all;
  for (const std::string& prompt : prompts) {
    all.push_back(writer.ids_of(prompt));
    writer.check_length(fmt::format("prompt {}", all.size()), std::ssize(all.back()));
  }
  return all;
}

int answer_prompts(const GenerateCommand& command, const std::vector<std::string>& prompts) {
  TextWriter writer(command.decoding);
  const auto ids = ids_of(writer, prompts);
  const int64_t samples = command.decoding.samples;
  const bool streams = prompts.size() == 1 && samples == 1 && !command.compare && !command.output;
  const auto total = static_cast<int64_t>(prompts.size() * sides_of(command).size()) * samples;
  std::vector<SidedAnswer> answers;
  generation::DecoderStatistics sum;
  const auto start = std::chrono::steady_clock::now();
  {
    std::optional<Progress> progress;
    if (!streams) progress.emplace("generate", total);
    for (const auto& [side, has_adapter] : sides_of(command)) {
      std::optional<nn::AdapterOffGuard> off;
      if (!has_adapter) off.emplace();
      WriterRun run = run_of(ids);
      if (streams) run.on_piece = print_piece;
      run.on_answer = [&](Answer answer) {
        answers.push_back({side, std::move(answer)});
        if (progress) progress->update(std::ssize(answers), "texts");
      };
      const auto statistics = writer.write(run);
      sum.num_new_tokens += statistics.num_new_tokens;
      sum.num_prompt_tokens += statistics.num_prompt_tokens;
      sum.prompt_seconds += statistics.prompt_seconds;
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (streams) std::cout << "\n";
  log_info(
      "{} prompt tokens in {:.3f} s, with {} new tokens in {:.2f} s: {:.1f} new tokens a second",
      sum.num_prompt_tokens, sum.prompt_seconds, sum.num_new_tokens, elapsed.count(),
      static_cast<double>(sum.num_new_tokens) / elapsed.count());
  if (interrupt_requested()) {
    log_warning("interrupted: nothing was written");
    return kInterrupted;
  }
  std::ranges::stable_sort(answers, {}, [](const SidedAnswer& one) {
    return std::pair(one.answer.prompt, one.answer.sample);
  });
  if (command.output) {
    write_file_atomically(*command.output, answers_as_json(prompts, answers));
  } else if (!streams) {
    print_answers(prompts, answers);
  }
  return kDone;
}

// ---- A conversation -----------------------------------------------------------------------------

// The next line of standard input, without the \r of a CRLF and the byte order mark at its start.
bool read_turn(std::string& line, bool is_first) {
  std::cerr << "> " << std::flush;
  if (!std::getline(std::cin, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  if (is_first && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  return true;
}

// Lines of standard input are the user's turns; /reset begins anew, /exit or its end ends.
int converse(const GenerateCommand& command) {
  TextWriter writer(command.decoding);
  std::vector<ChatMessage> messages;
  log_info("{}; /reset begins anew, /exit ends",
           writer.uses_chat() ? "a conversation by the model's chat template"
                              : "each line is continued by itself: the model has no chat template");
  bool is_first = true;
  for (std::string line; read_turn(line, std::exchange(is_first, false));) {
    if (interrupt_requested() || line == "/exit") break;
    if (line == "/reset") messages.clear();
    if (line.empty() || line == "/reset") continue;
    if (messages.empty()) {
      messages = writer.conversation_with(line);
    } else {
      messages.push_back({"user", line});
    }
    const std::vector<std::vector<int64_t>> ids = {writer.uses_chat() ? writer.ids_of(messages)
                                                                      : writer.ids_of(line)};
    writer.check_length("conversation", std::ssize(ids.front()));
    WriterRun run = run_of(ids);
    run.on_piece = print_piece;
    run.on_answer = [&](const Answer& answer) { messages.push_back({"assistant", answer.text}); };
    writer.write(run);
    std::cout << std::endl;
  }
  return interrupt_requested() ? kInterrupted : kDone;
}

void check_outputs(const GenerateCommand& command) {
  if (!command.output) return;
  OutputCheck outputs;
  outputs.reads("--model", command.decoding.model);
  if (command.decoding.adapter) outputs.reads("--adapter", *command.decoding.adapter);
  if (command.input) outputs.reads("--input", *command.input);
  outputs.writes("--output", *command.output);
  outputs.check();
}

}  // namespace

int run_generate(const GenerateCommand& command) {
  generation::check(command.decoding.sampling);
  check_outputs(command);
  const std::vector<std::string> prompts = read_prompts(command);
  if (command.prompts.empty() && !command.input) return converse(command);
  return answer_prompts(command, prompts);
}

}  // namespace cpx::recipes
