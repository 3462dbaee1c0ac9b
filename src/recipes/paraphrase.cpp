// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/paraphrase.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/progress.h"
#include "cpx/data/record.h"
#include "cpx/pipeline/prompt_file.h"
#include "cpx/pipeline/shard_journal.h"
#include "cpx/pipeline/templates.h"
#include "cpx/tensor/device.h"
#include "exit_status.h"
#include "faults.h"
#include "fingerprint.h"
#include "input_patterns.h"
#include "text_writer.h"

namespace cpx::recipes {

namespace {

using data::Input;
using pipeline::Setting;

constexpr size_t kInputsReported = 20;
constexpr const char* kTypeSetting = "dtype";

// One side of a record that is asked for.
struct Side {
  bool is_toxic = false;
  pipeline::PromptTemplate prompt;
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
  std::vector<std::string> faults;
  int64_t num_repeated = 0;
  for (const auto& file : data::expand_globs(command.inputs, faults)) {
    pipeline::PromptContent content = pipeline::read_prompts(file);
    std::ranges::move(content.faults, std::back_inserter(faults));
    num_repeated += content.num_repeated;
    if (command.limit > 0 && std::ssize(content.inputs) > command.limit) {
      content.inputs.resize(static_cast<size_t>(command.limit));
    }
    std::ranges::move(content.inputs, std::back_inserter(inputs));
  }
  throw_first_of(faults);
  if (num_repeated > 0) {
    log_info("{} sentences stand in their lists more than once: each is taken once", num_repeated);
  }
  return inputs;
}

// `auto` is settled once: a machine that is busy may choose another type when it goes on.
Decoding with_settled_type(const ParaphraseCommand& command) {
  Decoding decoding = command.decoding;
  if (decoding.dtype != "auto") return decoding;
  if (const auto before = pipeline::recorded_setting(command.output, kTypeSetting)) {
    decoding.dtype = *before;
  } else {
    decoding.dtype = tensor::dtype_name(compute_dtype(decoding));
  }
  return decoding;
}

// All that the shard depends on but the inputs.
std::vector<Setting> settings_of(const ParaphraseCommand& command, const Decoding& decoding,
                                 const std::vector<Side>& sides) {
  const generation::SamplingOptions& sampling = decoding.sampling;
  std::vector<Setting> settings = {
      {"model", model_fingerprint(decoding.model)},
      {"adapter", decoding.adapter ? model_fingerprint(*decoding.adapter) : std::string()},
      {"weights", decoding.weights},
      {kTypeSetting, decoding.dtype},
      {"polarity", command.polarity}};
  for (const Side& side : sides) {
    settings.push_back({side.is_toxic ? "toxic_template" : "neutral_template", side.prompt.text});
  }
  const std::vector<Setting> others = {
      {"prompt_form", decoding.prompt_form},
      {"system", decoding.system},
      {"seed", static_cast<int64_t>(decoding.seed)},
      {"samples", decoding.samples},
      {"temperature", sampling.temperature},
      {"top_k", sampling.top_k},
      {"top_p", sampling.top_p},
      {"min_p", sampling.min_p},
      {"repetition_penalty", sampling.repetition_penalty},
      {"no_repeat_ngram", sampling.no_repeat_ngram},
      {"penalty_alpha", sampling.penalty_alpha},
      {"min_new_tokens", sampling.min_new_tokens},
      {"max_new_tokens", sampling.max_new_tokens},
      {"stop", fmt::format("{}", fmt::join(decoding.stop_strings, " | "))},
      {"keep", command.candidates.keep},
      {"lower_case", command.candidates.lower_case},
      {"use_stemmer", command.candidates.use_stemmer},
      {"cut_at", fmt::format("{}", fmt::join(command.candidates.headers, " | "))}};
  settings.insert(settings.end(), others.begin(), others.end());
  return settings;
}

// Asks for the inputs that are not done and hands each finished one to the journal. A prompt's
// number is that of its input and side, so that its samples are the same in any run.
class Paraphrasing {
 public:
  Paraphrasing(const ParaphraseCommand& command, const Decoding& decoding,
               const std::vector<Side>& sides, pipeline::ShardJournal& journal)
      : command_(command),
        decoding_(decoding),
        sides_(sides),
        journal_(journal),
        writer_(decoding),
        progress_("paraphrase", std::ssize(journal.inputs()), journal.num_done()) {}

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
    return pipeline::render_prompt(sides_[side].prompt,
                                   journal_.inputs()[static_cast<size_t>(input)].text);
  }

  void measure_prompts(WriterRun& run) const {
    for (int64_t i = 0; i < std::ssize(journal_.inputs()); ++i) {
      if (journal_.is_done(i)) continue;
      for (size_t side = 0; side < sides_.size(); ++side) {
        const auto length = std::ssize(writer_.ids_of(prompt_of(i, side)));
        writer_.check_length(journal_.inputs()[static_cast<size_t>(i)].where, length);
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
    return generation::Prompt{.ids = writer_.ids_of(prompt_of(input, side)),
                              .number = number_of(input, side)};
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
  TextWriter writer_;
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
    log_warning("{}: {} more, all in {}.meta.json", what, lines.size() - kInputsReported,
                output.string());
  }
}

void print_summary(const ParaphraseCommand& command, const pipeline::ShardSummary& summary) {
  report(summary.left_out, "left out", command.output);
  report(summary.too_few, "few", command.output);
  std::cout << fmt::format("{}: {} records, {} inputs left out, {} sides with few\n",
                           command.output.string(), summary.num_records, summary.left_out.size(),
                           summary.too_few.size());
  const auto print = [](const char* side, const pipeline::CandidateCounts& counts) {
    if (counts.drawn > 0) std::cout << fmt::format("  {}: {}\n", side, describe(counts));
  };
  print("neutral", summary.neutral);
  print("toxic", summary.toxic);
}

void check_outputs(const ParaphraseCommand& command) {
  OutputCheck outputs;
  outputs.reads("--model", command.decoding.model);
  if (command.decoding.adapter) outputs.reads("--adapter", *command.decoding.adapter);
  for (const auto& [flag, name] : {std::pair("--template-neutral", command.neutral_template),
                                   std::pair("--template-toxic", command.toxic_template)}) {
    if (std::filesystem::exists(name)) outputs.reads(flag, name);
  }
  add_inputs(outputs, "--input", command.inputs);
  outputs.writes("--output", command.output);
  outputs.check();
}

}  // namespace

int run_paraphrase(const ParaphraseCommand& command) {
  generation::check(command.decoding.sampling);
  check_outputs(command);
  const std::vector<Side> sides = sides_of(command);
  std::vector<Input> inputs = read_inputs(command);
  Decoding decoding = with_settled_type(command);
  // What is behind a header is cut off: it need not be written.
  decoding.stop_strings.insert(decoding.stop_strings.end(), command.candidates.headers.begin(),
                               command.candidates.headers.end());
  pipeline::ShardJournal journal(command.output, std::move(inputs),
                                 settings_of(command, decoding, sides), command.overwrite);
  if (journal.is_complete()) {
    std::cout << fmt::format("{}: made before with the same settings, nothing to do\n",
                             command.output.string());
    return kDone;
  }
  const auto num_inputs = std::ssize(journal.inputs());
  if (journal.num_done() > 0) {
    log_info("going on: {} of {} inputs are done", journal.num_done(), num_inputs);
  }
  if (journal.num_done() < num_inputs) Paraphrasing(command, decoding, sides, journal).run();
  if (journal.num_done() < num_inputs) {
    log_warning("interrupted: {} of {} inputs are done; the same command goes on from there",
                journal.num_done(), num_inputs);
    return kInterrupted;
  }
  print_summary(command, journal.finish());
  return kDone;
}

}  // namespace cpx::recipes
