// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/generate.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_target.h"
#include "cpx/core/progress.h"
#include "cpx/core/text_file.h"
#include "cpx/data/text_file.h"
#include "cpx/pipeline/growing_output.h"
#include "decoding_settings.h"
#include "exit_status.h"
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

std::vector<std::string> read_prompts(const GenerateCommand& command) {
  std::vector<std::string> prompts = command.prompts;
  if (command.input) {
    data::TextFileContent content = data::read_texts(
        *command.input,
        command.key.empty() ? data::usual_prompt_keys() : std::vector<std::string>{command.key});
    content.faults.throw_first_if_any();
    prompts.insert(prompts.end(), content.texts.begin(), content.texts.end());
  }
  return prompts;
}

// ---- Prompts ------------------------------------------------------------------------------------

// The sides that are asked for: name, and whether the adapter takes part.
std::vector<std::pair<std::string, bool>> sides_of(const GenerateCommand& command) {
  if (command.compare) return {{"base", false}, {"adapter", true}};
  return {{"", true}};
}

// As --logprobs asks for: of the tokens, and of a stop token that ended the text.
nlohmann::ordered_json log_probs_json(const TextWriter& writer, const Answer& answer,
                                      const std::string& which) {
  nlohmann::ordered_json json = {{"ids", answer.ids}, {"tokens", nlohmann::json::array()}};
  for (const int64_t id : answer.ids) json["tokens"].push_back(writer.piece(id));
  const auto add = [&](const char* name, double generation::TokenLogProbs::*value) {
    if (which != name && which != "both") return;
    json[name] = nlohmann::json::array();
    for (const auto& one : answer.log_probs) json[name].push_back(one.*value);
  };
  add("raw", &generation::TokenLogProbs::raw);
  add("processed", &generation::TokenLogProbs::processed);
  return json;
}

// The texts of prompts one after the other: in the order of prompts, each when it is whole.
class Texts {
 public:
  Texts(const GenerateCommand& command, const std::vector<std::string>& prompts,
        pipeline::GrowingOutput* output, TextWriter& writer)
      : command_(command), prompts_(prompts), output_(output), writer_(writer) {
    if (output_ != nullptr) next_ = static_cast<uint64_t>(output_->num_done());
  }

  void add(const std::string& side, Answer answer) {
    std::vector<SidedAnswer>& answers = unfinished_[answer.prompt];
    answers.push_back({side, std::move(answer)});
    while (!unfinished_.empty() && unfinished_.begin()->first == next_ &&
           std::ssize(unfinished_.begin()->second) == lines_per_prompt(command_)) {
      write(std::move(unfinished_.begin()->second));
      unfinished_.erase(unfinished_.begin());
      ++next_;
    }
  }

  uint64_t num_written() const { return next_; }

  static int64_t lines_per_prompt(const GenerateCommand& command) {
    return std::ssize(sides_of(command)) * command.decoding.samples;
  }

 private:
  void write(std::vector<SidedAnswer> answers) {
    std::ranges::stable_sort(answers, [](const SidedAnswer& one, const SidedAnswer& other) {
      if (one.answer.sample != other.answer.sample) return one.answer.sample < other.answer.sample;
      return one.side > other.side;  // the base first
    });
    output_ != nullptr ? write_lines(answers) : print(answers);
  }

  void write_lines(const std::vector<SidedAnswer>& answers) {
    std::string lines;
    for (const auto& [side, answer] : answers) {
      nlohmann::ordered_json line = {{"prompt", prompts_[answer.prompt]},
                                     {"sample", answer.sample}};
      if (!side.empty()) line["side"] = side;
      line["text"] = answer.text;
      line["tokens"] = answer.num_tokens;
      line["finish"] = finish_name(answer.reason);
      if (!command_.log_probs.empty()) {
        line["logprobs"] = log_probs_json(writer_, answer, command_.log_probs);
      }
      lines += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    }
    output_->add(lines);
  }

  void print(const std::vector<SidedAnswer>& answers) const {
    std::cout << "== " << prompts_[answers.front().answer.prompt] << "\n";
    for (const auto& [side, answer] : answers) {
      std::cout << "-- " << answer.sample + 1 << (side.empty() ? std::string() : ", " + side)
                << "\n"
                << answer.text << "\n";
    }
    std::cout << std::flush;
  }

  const GenerateCommand& command_;
  const std::vector<std::string>& prompts_;
  pipeline::GrowingOutput* output_;  // null: standard output, as text
  TextWriter& writer_;
  uint64_t next_ = 0;  // prompt to write
  std::map<uint64_t, std::vector<SidedAnswer>> unfinished_;
};

void print_piece(uint64_t, int64_t, const std::string& piece) { std::cout << piece << std::flush; }

// Prompts of these numbers, one after the other; `ids` are those of all, from number `first` on.
WriterRun run_of(std::span<const std::vector<int64_t>> ids, uint64_t first) {
  WriterRun run{
      .next = [ids, first, next = size_t(0)]() mutable -> std::optional<generation::Prompt> {
        if (next == ids.size()) return std::nullopt;
        const size_t number = next++;
        return generation::Prompt{.ids = ids[number], .number = first + number};
      },
      .num_prompts = std::ssize(ids)};
  for (const auto& prompt : ids) {
    run.max_prompt_tokens = std::max(run.max_prompt_tokens, std::ssize(prompt));
  }
  return run;
}

std::vector<std::vector<int64_t>> ids_of(const TextWriter& writer,
                                         std::span<const std::string> prompts, uint64_t first) {
  std::vector<std::vector<int64_t>> all;
  for (const std::string& prompt : prompts) {
    all.push_back(writer.ids_of(fmt::format("prompt {}", first + all.size() + 1), prompt));
  }
  return all;
}

// All that the texts depend on but the prompts.
std::vector<pipeline::Setting> settings_of(const GenerateCommand& command,
                                           const Decoding& decoding) {
  std::vector<pipeline::Setting> settings = decoding_settings(decoding);
  settings.push_back({"compare", command.compare});
  settings.push_back({"logprobs", command.log_probs});
  return settings;
}

// Writes prompts from one number on, and tells the rate.
class Generation {
 public:
  Generation(const GenerateCommand& command, const Decoding& decoding,
             const std::vector<std::string>& prompts, pipeline::GrowingOutput* output)
      : command_(command),
        decoding_(decoding),
        writer_(decoding_),
        first_(output == nullptr ? 0 : static_cast<uint64_t>(output->num_done())),
        texts_(command, prompts, output, writer_),
        ids_(ids_of(writer_, std::span(prompts).subspan(first_), first_)),
        streams_(prompts.size() == 1 && Texts::lines_per_prompt(command) == 1 &&
                 output == nullptr) {}

  void run() {
    const auto start = std::chrono::steady_clock::now();
    const int64_t lines = Texts::lines_per_prompt(command_);
    const auto num_before = static_cast<int64_t>(first_) * lines;
    std::optional<Progress> progress;
    if (!streams_) progress.emplace("generate", num_before + std::ssize(ids_) * lines, num_before);
    num_texts_ = num_before;
    for (size_t begin = 0; begin < ids_.size() && !interrupt_requested(); begin += window()) {
      const size_t size = std::min(window(), ids_.size() - begin);
      for (const auto& [side, has_adapter] : sides_of(command_)) {
        write(std::span(ids_).subspan(begin, size), first_ + begin, side, has_adapter, progress);
      }
    }
    progress.reset();
    if (streams_) std::cout << "\n";
    log_rate(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  uint64_t num_written() const { return texts_.num_written(); }

 private:
  // Prompts that are written before the other side's turn.
  size_t window() const {
    constexpr int64_t kBatchesAtOnce = 8;
    if (!command_.compare) return ids_.size();
    return static_cast<size_t>(std::max<int64_t>(
        1, kBatchesAtOnce * decoding_.batch_size / std::max<int64_t>(1, decoding_.samples)));
  }

  void write(std::span<const std::vector<int64_t>> ids, uint64_t first, const std::string& side,
             bool has_adapter, std::optional<Progress>& progress) {
    std::optional<nn::AdapterOffGuard> off;
    if (!has_adapter) off.emplace();
    WriterRun run = run_of(ids, first);
    if (streams_) run.on_piece = print_piece;
    run.on_answer = [&](Answer answer) {
      if (!streams_) texts_.add(side, std::move(answer));
      if (progress) progress->update(++num_texts_, "texts");
    };
    const auto statistics = writer_.write(run);
    sum_.num_new_tokens += statistics.num_new_tokens;
    sum_.num_prompt_tokens += statistics.num_prompt_tokens;
    sum_.prompt_seconds += statistics.prompt_seconds;
  }

  void log_rate(double seconds) const {
    log_info(
        "{} prompt tokens in {:.3f} s, with {} new tokens in {:.2f} s: {:.1f} new tokens a second",
        sum_.num_prompt_tokens, sum_.prompt_seconds, sum_.num_new_tokens, seconds,
        static_cast<double>(sum_.num_new_tokens) / seconds);
  }

  const GenerateCommand& command_;
  const Decoding& decoding_;
  TextWriter writer_;
  uint64_t first_;
  Texts texts_;
  std::vector<std::vector<int64_t>> ids_;  // of the prompts from `first_` on
  bool streams_;
  int64_t num_texts_ = 0;
  generation::TextGeneratorStatistics sum_;
};

// The output that is asked for, perhaps with prompts that are done.
std::optional<pipeline::GrowingOutput> open_output(const GenerateCommand& command,
                                                   Decoding& decoding,
                                                   const std::vector<std::string>& prompts) {
  if (!command.output) return std::nullopt;
  decoding = with_settled_type(decoding, {&*command.output, 1});
  return std::optional<pipeline::GrowingOutput>(
      std::in_place, *command.output, prompts, settings_of(command, decoding),
      Texts::lines_per_prompt(command), command.overwrite);
}

int answer_prompts(const GenerateCommand& command, const std::vector<std::string>& prompts) {
  Decoding decoding = command.decoding;
  decoding.log_probs = !command.log_probs.empty();
  auto output = open_output(command, decoding, prompts);
  if (output && output->num_done() == output->num_prompts()) {
    log_info("{}: made before with the same settings, nothing to do", command.output->string());
    return kDone;
  }
  if (output && output->num_done() > 0) {
    log_info("going on: {} of {} prompts are done", output->num_done(), output->num_prompts());
  }
  Generation generation(command, decoding, prompts, output ? &*output : nullptr);
  generation.run();
  if (output) output->finish();
  if (!interrupt_requested()) return kDone;
  const bool goes_on = output && !find_output(*command.output).is_stream();
  log_warning("interrupted: {} of {} prompts are done{}", generation.num_written(), prompts.size(),
              goes_on ? "; the same command goes on from there" : "");
  return kInterrupted;
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
    constexpr std::string_view kWhere = "conversation";
    const std::vector<std::vector<int64_t>> ids = {
        writer.uses_chat() ? writer.ids_of(kWhere, messages) : writer.ids_of(kWhere, line)};
    WriterRun run = run_of(ids, 0);
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
