// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/paraphrase.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/progress.h"
#include "cpx/core/text.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/pipeline/prompt_file.h"
#include "cpx/pipeline/shard_journal.h"
#include "cpx/pipeline/templates.h"
#include "decoding_settings.h"
#include "exit_status.h"
#include "folder_output.h"
#include "input_patterns.h"
#include "text_writer.h"

namespace cpx::recipes {

namespace {

using data::Input;
using pipeline::Setting;

constexpr size_t kInputsReported = 20;

// One side of a record that is asked for.
struct Side {
  bool is_toxic = false;
  pipeline::RequestTemplate prompt;
};

std::vector<Side> sides_of(const ParaphraseCommand& command) {
  std::vector<Side> sides;
  if (command.polarity != "toxic") {
    sides.push_back({false, pipeline::load_template(command.neutral_template)});
  }
  if (command.polarity != "neutral") {
    sides.push_back({true, pipeline::load_template(command.toxic_template)});
  }
  return sides;
}

std::vector<Input> read_inputs(const ParaphraseCommand& command) {
  std::vector<Input> inputs;
  Faults faults;
  int64_t num_repeated = 0;
  for (const auto& file : data::expand_globs(command.inputs, faults)) {
    pipeline::PromptContent content = pipeline::read_prompts(file);
    faults.append(content.faults);
    num_repeated += content.num_repeated;
    if (command.limit > 0 && std::ssize(content.inputs) > command.limit) {
      content.inputs.resize(static_cast<size_t>(command.limit));
    }
    std::ranges::move(content.inputs, std::back_inserter(inputs));
  }
  faults.throw_first_if_any();
  if (num_repeated > 0) {
    log_info("{} sentences stand in their lists more than once: each is taken once", num_repeated);
  }
  return inputs;
}

// A shard to be made and the inputs for it.
struct Shard {
  std::filesystem::path output = {};
  std::vector<Input> inputs = {};
};

// One shard, or in a folder one a group, in the order of their first inputs.
std::vector<Shard> shards_of(const ParaphraseCommand& command, std::vector<Input> inputs) {
  std::vector<Shard> shards;
  if (!is_folder_output(command.output)) {
    shards.push_back({.output = command.output, .inputs = std::move(inputs)});
    return shards;
  }
  for (Input& input : inputs) {
    const auto output = shard_of_group(command.output, input.group);
    auto found = std::ranges::find(shards, output, &Shard::output);
    if (found == shards.end()) {
      shards.push_back({.output = output});
      found = std::prev(shards.end());
    }
    found->inputs.push_back(std::move(input));
  }
  return shards;
}

// All that the shard depends on but the inputs.
std::vector<Setting> settings_of(const ParaphraseCommand& command, const Decoding& decoding,
                                 const std::vector<Side>& sides) {
  std::vector<Setting> settings = decoding_settings(decoding);
  settings.push_back({"polarity", command.polarity});
  for (const Side& side : sides) {
    settings.push_back({side.is_toxic ? "toxic_template" : "neutral_template", side.prompt.text});
  }
  const pipeline::CandidateOptions& candidates = command.candidates;
  settings.push_back({"keep", candidates.keep});
  settings.push_back({"lower_case", candidates.lower_case});
  settings.push_back({"use_stemmer", candidates.use_stemmer});
  settings.push_back({"cut_at", fmt::format("{}", fmt::join(candidates.headers, " | "))});
  return settings;
}

// Asks for the inputs that are not done and hands each finished one to the journal. A prompt's
// number is that of its input and side, so that its samples are the same in any run.
class Paraphrasing {
 public:
  Paraphrasing(const ParaphraseCommand& command, const Decoding& decoding,
               const std::vector<Side>& sides, TextWriter& writer, pipeline::ShardJournal& journal,
               const std::string& title)
      : command_(command),
        decoding_(decoding),
        sides_(sides),
        journal_(journal),
        writer_(writer),
        progress_(title, std::ssize(journal.inputs()), journal.num_done()) {}

  void run() {
    WriterRun run{.next = [this] { return next(); },
                  .on_answer = [this](Answer answer) { take(std::move(answer)); }};
    measure_prompts(run);
    writer_.write(run);
  }

 private:
  // What an input has so far.
  struct Unfinished {
    std::vector<std::vector<std::string>> texts;  // of each side, by sample
    int64_t num_missing = 0;
  };

  std::string prompt_of(int64_t input, size_t side) const {
    return pipeline::render_request(sides_[side].prompt,
                                    journal_.inputs()[static_cast<size_t>(input)].text);
  }

  std::vector<int64_t> ids_of(int64_t input, size_t side) const {
    return writer_.ids_of(journal_.inputs()[static_cast<size_t>(input)].where,
                          prompt_of(input, side));
  }

  void measure_prompts(WriterRun& run) const {
    for (int64_t i = 0; i < std::ssize(journal_.inputs()); ++i) {
      if (journal_.is_done(i)) continue;
      for (size_t side = 0; side < sides_.size(); ++side) {
        const auto length = std::ssize(ids_of(i, side));
        run.max_prompt_tokens = std::max(run.max_prompt_tokens, length);
        ++run.num_prompts;
      }
    }
  }

  std::optional<generation::Prompt> next() {
    while (next_input_ < std::ssize(journal_.inputs()) && journal_.is_done(next_input_)) {
      ++next_input_;
    }
    if (next_input_ == std::ssize(journal_.inputs())) return std::nullopt;
    const int64_t input = next_input_;
    const size_t side = next_side_;
    if (++next_side_ == sides_.size()) {
      next_side_ = 0;
      ++next_input_;
    }
    return generation::Prompt{.ids = ids_of(input, side), .number = number_of(input, side)};
  }

  // Two numbers an input, whatever sides are asked for: a side's texts do not depend on the other.
  uint64_t number_of(int64_t input, size_t side) const {
    return 2 * static_cast<uint64_t>(input) + (sides_[side].is_toxic ? 1 : 0);
  }

  void take(Answer answer) {
    const auto input = static_cast<int64_t>(answer.prompt / 2);
    const bool is_toxic = answer.prompt % 2 == 1;
    const auto side =
        static_cast<size_t>(std::ranges::find(sides_, is_toxic, &Side::is_toxic) - sides_.begin());
    const auto samples = static_cast<size_t>(decoding_.samples);
    const auto [found, is_new] = unfinished_.try_emplace(input);
    Unfinished& unfinished = found->second;
    if (is_new) {
      unfinished.texts.assign(sides_.size(), std::vector<std::string>(samples));
      unfinished.num_missing = std::ssize(sides_) * decoding_.samples;
    }
    unfinished.texts[side][static_cast<size_t>(answer.sample)] = std::move(answer.text);
    num_tokens_ += answer.num_tokens;
    if (--unfinished.num_missing == 0) finish(input);
  }

  void finish(int64_t input) {
    const Unfinished unfinished = std::move(unfinished_.extract(input).mapped());
    const std::string& text = journal_.inputs()[static_cast<size_t>(input)].text;
    pipeline::Paraphrases made;
    for (size_t side = 0; side < sides_.size(); ++side) {
      (sides_[side].is_toxic ? made.toxic : made.neutral) =
          pipeline::select_candidates(text, unfinished.texts[side], command_.candidates);
    }
    journal_.add(input, made);
    progress_.update(journal_.num_done(), fmt::format("inputs, {} tokens", num_tokens_));
  }

  const ParaphraseCommand& command_;
  const Decoding& decoding_;
  const std::vector<Side>& sides_;
  pipeline::ShardJournal& journal_;
  TextWriter& writer_;
  Progress progress_;
  int64_t next_input_ = 0;
  size_t next_side_ = 0;
  std::map<int64_t, Unfinished> unfinished_;
  int64_t num_tokens_ = 0;
};

void report(const std::vector<std::string>& lines, const std::string& what,
            const std::filesystem::path& output) {
  for (size_t i = 0; i < std::min(lines.size(), kInputsReported); ++i) {
    log_warning("{}: {}", what, lines[i]);
  }
  if (lines.size() > kInputsReported) {
    log_warning("{}: {} more, all in {}.meta", what, lines.size() - kInputsReported,
                output.string());
  }
}

void print_summary(const std::filesystem::path& output, const pipeline::ShardSummary& summary) {
  report(summary.left_out, "left out", output);
  report(summary.too_few, "few", output);
  std::cout << fmt::format(
      "{}: {}, {} left out, {} with few\n", output.string(), counted(summary.num_records, "record"),
      counted(std::ssize(summary.left_out), "input"), counted(std::ssize(summary.too_few), "side"));
  const auto print = [](const char* side, const pipeline::CandidateCounts& counts) {
    if (counts.drawn > 0) std::cout << fmt::format("  {}: {}\n", side, describe(counts));
  };
  print("neutral", summary.neutral);
  print("toxic", summary.toxic);
}

// Makes shards one after the other with one model; what is finished stands in their journals.
class ShardMaking {
 public:
  // Opens all journals, so that one that cannot go on is told before the work.
  ShardMaking(const ParaphraseCommand& command, std::vector<Shard> shards)
      : command_(command), sides_(sides_of(command)), decoding_(command.decoding) {
    for (const Shard& shard : shards) outputs_.push_back(shard.output);
    decoding_ = with_settled_type(decoding_, outputs_);
    // What is behind a header is cut off: it need not be written.
    const auto& headers = command.candidates.headers;
    decoding_.stop_strings.insert(decoding_.stop_strings.end(), headers.begin(), headers.end());
    const std::vector<Setting> settings = settings_of(command, decoding_, sides_);
    for (Shard& shard : shards) {
      journals_.push_back(std::make_unique<pipeline::ShardJournal>(
          shard.output, std::move(shard.inputs), settings, command.overwrite));
    }
  }

  int run() {
    for (size_t i = 0; i < journals_.size(); ++i) {
      if (!make(outputs_[i], *journals_[i])) return kInterrupted;
      journals_[i].reset();  // another process may have it
    }
    // One of several without a record keeps the others from nothing.
    faults_.throw_first_if_any();
    return kDone;
  }

 private:
  // False when interrupted.
  bool make(const std::filesystem::path& output, pipeline::ShardJournal& journal) {
    if (journal.is_complete()) {
      std::cout << fmt::format("{}: made before with the same settings, nothing to do\n",
                               output.string());
      return true;
    }
    const auto num_inputs = std::ssize(journal.inputs());
    if (journal.num_done() > 0) {
      log_info("going on: {} of {} inputs are done", journal.num_done(), num_inputs);
    }
    if (journal.num_done() < num_inputs) ask(output, journal);
    if (journal.num_done() < num_inputs) {
      log_warning("interrupted: {} of {} inputs are done; the same command goes on from there",
                  journal.num_done(), num_inputs);
      return false;
    }
    finish(output, journal);
    return true;
  }

  void ask(const std::filesystem::path& output, pipeline::ShardJournal& journal) {
    if (!writer_) writer_.emplace(decoding_);
    const std::string title = outputs_.size() == 1 ? "paraphrase" : output.filename().string();
    Paraphrasing(command_, decoding_, sides_, *writer_, journal, title).run();
  }

  void finish(const std::filesystem::path& output, pipeline::ShardJournal& journal) {
    try {
      print_summary(output, journal.finish());
    } catch (const DataError& error) {
      if (outputs_.size() == 1) throw;
      log_warning("{}", error.what());
      faults_.add_line(error.what());
    }
  }

  const ParaphraseCommand& command_;
  std::vector<Side> sides_;
  Decoding decoding_;
  std::vector<std::filesystem::path> outputs_;
  std::vector<std::unique_ptr<pipeline::ShardJournal>> journals_;
  std::optional<TextWriter> writer_;  // loaded when it is first needed
  Faults faults_;
};

void check_outputs(const ParaphraseCommand& command, const std::vector<Shard>& shards) {
  OutputCheck outputs;
  outputs.reads("--model", command.decoding.model);
  if (command.decoding.adapter) outputs.reads("--adapter", *command.decoding.adapter);
  for (const auto& [flag, name] : {std::pair("--template-neutral", command.neutral_template),
                                   std::pair("--template-toxic", command.toxic_template)}) {
    if (std::filesystem::exists(name)) outputs.reads(flag, name);
  }
  add_inputs(outputs, "--input", command.inputs);
  for (const Shard& shard : shards) outputs.writes("--output", shard.output);
  outputs.check();
}

}  // namespace

int run_paraphrase(const ParaphraseCommand& command) {
  generation::check(command.decoding.sampling);
  prepare_folder_output("--output", command.output);
  std::vector<Shard> shards = shards_of(command, read_inputs(command));
  check_outputs(command, shards);
  return ShardMaking(command, std::move(shards)).run();
}

}  // namespace cpx::recipes
