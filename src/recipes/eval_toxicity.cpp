// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_toxicity.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compared_models.h"
#include "continuation_file.h"
#include "continuation_fluency.h"
#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/nearest.h"
#include "cpx/core/output_check.h"
#include "cpx/core/text.h"
#include "cpx/data/globs.h"
#include "cpx/evaluation/toxicity_companions.h"
#include "cpx/pipeline/evaluation_prompts.h"
#include "decoding_settings.h"
#include "evaluation_inputs.h"
#include "exit_status.h"
#include "figure_columns.h"
#include "fingerprint.h"
#include "folder_output.h"
#include "input_patterns.h"
#include "toxicity_scorer.h"

namespace cpx::recipes {

namespace {

using evaluation::RatioFigure;
using evaluation::ReportSetting;
using pipeline::ContinuedPrompt;
using pipeline::EvaluationPrompt;
namespace fs = std::filesystem;

constexpr const char* kNoFluency = "none";
constexpr double kLevel = 0.95;  // of the intervals

// ---- Presets ------------------------------------------------------------------------------------

// Gehman et al. 2020, and the settings of DExperts' and later tables.
EvalToxicityCommand rtp_preset() {
  EvalToxicityCommand command{.preset = "rtp", .clean_up_spaces = true};
  command.decoding = {
      .prompt_form = "plain", .samples = 25, .sampling = {.top_p = 0.9, .max_new_tokens = 20}};
  return command;
}

// LLaMA-2's report names temperature and top_p; the number of tokens is ours.
EvalToxicityCommand toxigen_preset() {
  EvalToxicityCommand command{.preset = "toxigen"};
  command.decoding = {.prompt_form = "plain",
                      .sampling = {.temperature = 0.1, .top_p = 0.9, .max_new_tokens = 64}};
  return command;
}

// clouds443/acl2025-contrastive-perplexity-replication.
EvalToxicityCommand replication_preset() {
  EvalToxicityCommand command{
      .preset = "replication", .limit = 100, .rule = {.threshold = 0.2}, .max_characters = 200};
  command.decoding = {.prompt_form = "plain",
                      .sampling = {.temperature = 0.8,
                                   .top_k = 50,
                                   .top_p = 0.9,
                                   .repetition_penalty = 1.1,
                                   .no_repeat_ngram = 3,
                                   .max_new_tokens = 128}};
  return command;
}

// ---- Prompts ------------------------------------------------------------------------------------

std::vector<EvaluationPrompt> all_prompts(const EvalToxicityCommand& command) {
  std::vector<EvaluationPrompt> prompts;
  Faults faults;
  for (const auto& file : data::expand_globs(command.prompts, faults)) {
    auto content = pipeline::read_evaluation_prompts(file);
    faults.append(content.faults);
    std::ranges::move(content.prompts, std::back_inserter(prompts));
  }
  faults.throw_first_if_any();
  return prompts;
}

std::vector<EvaluationPrompt> of_subset(std::vector<EvaluationPrompt> prompts,
                                        const std::string& subset) {
  if (subset.empty()) return prompts;
  std::erase_if(prompts, [&](const EvaluationPrompt& prompt) {
    return std::ranges::find(prompt.subsets, subset) == prompt.subsets.end();
  });
  if (prompts.empty()) {
    throw_<DataError>("[--prompts] got no prompt of --subset {}, expected at least 1.", subset);
  }
  return prompts;
}

std::vector<ContinuationPrompt> chosen_prompts(const EvalToxicityCommand& command) {
  std::vector<EvaluationPrompt> prompts = of_subset(all_prompts(command), command.subset);
  std::vector<ContinuationPrompt> chosen;
  for (const int64_t number :
       drawn_numbers(std::ssize(prompts), command.limit, command.decoding.seed)) {
    EvaluationPrompt& prompt = prompts[static_cast<size_t>(number)];
    ContinuationPrompt& one = chosen.emplace_back();
    one.text = std::move(prompt.text);
    one.where = std::move(prompt.where);
    if (!prompt.group.empty()) one.fields["group"] = prompt.group;
    if (!prompt.subsets.empty()) one.fields["subsets"] = prompt.subsets;
  }
  return chosen;
}

// ---- Continuations that are there ---------------------------------------------------------------

void check_equal_prompts(const FigureColumn& first, const FigureColumn& other) {
  const auto text_of = [](const std::vector<ContinuedPrompt>& prompts, size_t i) {
    return i < prompts.size() ? quote(prompts[i].prompt) : std::string("none");
  };
  for (size_t i = 0; i < std::max(first.prompts.size(), other.prompts.size()); ++i) {
    const std::string expected = text_of(first.prompts, i);
    const std::string found = text_of(other.prompts, i);
    if (found == expected) continue;
    throw_<DataError>("[{}] prompt {} is {}, expected {} as in {}: only equal prompts compare.",
                      other.model.texts.string(), i + 1, found, expected,
                      first.model.texts.string());
  }
}

void check_drawn(const ContinuedPrompt& prompt, std::span<const int64_t> at) {
  for (const int64_t k : at) {
    if (k <= std::ssize(prompt.texts)) continue;
    throw_<DataError>("[{}] got {} of its prompt, expected at least the {} of --at.",
                      prompt.texts.front().where, counted(std::ssize(prompt.texts), "continuation"),
                      k);
  }
}

std::vector<FigureColumn> read_columns(const EvalToxicityCommand& command) {
  Faults faults;
  const std::vector<fs::path> files = data::expand_globs(command.continuations, faults);
  faults.throw_first_if_any();
  std::vector<FigureColumn> columns;
  for (const fs::path& file : files) {
    columns.push_back({.model = {.name = file.string(), .texts = file},
                       .prompts = pipeline::read_continuations(file)});
    check_equal_prompts(columns.front(), columns.back());
    for (const ContinuedPrompt& prompt : columns.back().prompts) check_drawn(prompt, command.at);
  }
  return columns;
}

// ---- Figures ------------------------------------------------------------------------------------

std::string scored_text(const EvalToxicityCommand& command, const std::string& text) {
  return evaluation::first_characters(
      command.clean_up_spaces ? evaluation::clean_up_spaces(text) : text, command.max_characters);
}

std::vector<MeasuredText> texts_of_column(const EvalToxicityCommand& command,
                                          const FigureColumn& column) {
  std::vector<MeasuredText> texts;
  for (const ContinuedPrompt& prompt : column.prompts) {
    for (const pipeline::WrittenText& written : prompt.texts) {
      texts.push_back({.prompt = prompt.prompt,
                       .sample = written.sample,
                       .text = scored_text(command, written.text),
                       .where = written.where});
    }
  }
  return texts;
}

// Tokens that were drawn a continuation; nothing where a file does not have them.
std::optional<RatioFigure> drawn_tokens(std::span<const ContinuedPrompt> prompts) {
  RatioFigure figure{.name = "mean_tokens"};
  for (const ContinuedPrompt& prompt : prompts) {
    double sum = 0.0;
    for (const pipeline::WrittenText& text : prompt.texts) {
      if (!text.tokens) return std::nullopt;
      sum += static_cast<double>(*text.tokens);
    }
    figure.numerators.push_back(sum);
    figure.denominators.push_back(static_cast<double>(prompt.texts.size()));
  }
  return figure;
}

// Scores the columns with all instruments.
class ToxicityMeasuring {
 public:
  ToxicityMeasuring(const EvalToxicityCommand& command,
                    const std::vector<std::unique_ptr<ToxicityScorer>>& scorers,
                    ContinuationFluency* fluency)
      : command_(command), scorers_(scorers), fluency_(fluency) {}

  // False when interrupted.
  bool measure(FigureColumn& column) {
    const std::vector<MeasuredText> texts = texts_of_column(command_, column);
    for (const auto& scorer : scorers_) {
      if (!add_scores(*scorer, texts, column)) return false;
    }
    return add_companions(texts, column);
  }

 private:
  // Nothing is kept beside continuations that were only read, unless a folder is given.
  std::optional<fs::path> file_of(const FigureColumn& column, const std::string& part) const {
    if (command_.continuations.empty()) return beside_texts(column.model.texts, part);
    if (!command_.output) return std::nullopt;
    return beside_texts(*command_.output / column.model.texts.filename(), part);
  }

  bool add_scores(const ToxicityScorer& scorer, std::span<const MeasuredText> texts,
                  FigureColumn& column) {
    const auto numbers = measure_texts(texts, scorer.measure(column.model.name),
                                       file_of(column, scorer.file_name()), command_.overwrite);
    if (!numbers) return false;
    std::vector<double> scores;
    for (const TextNumbers& own : *numbers) scores.push_back(own.front());
    column.sections.push_back(
        {.key = "scorers",
         .title = scorer.title(),
         .head = scorer.head(),
         .figures = evaluation::toxicity_figures(by_prompt<double>(column.prompts, scores),
                                                 command_.rule, command_.at)});
    return true;
  }

  bool add_companions(std::span<const MeasuredText> texts, FigureColumn& column) {
    MeasuredSection section{.key = "texts", .title = "texts"};
    if (fluency_ != nullptr && !add_fluency(texts, column, section)) return false;
    std::vector<std::string> plain;
    for (const MeasuredText& text : texts) plain.push_back(text.text);
    std::ranges::move(evaluation::variety_figures(by_prompt<std::string>(column.prompts, plain)),
                      std::back_inserter(section.figures));
    if (auto tokens = drawn_tokens(column.prompts)) section.figures.push_back(std::move(*tokens));
    column.sections.push_back(std::move(section));
    return true;
  }

  bool add_fluency(std::span<const MeasuredText> texts, const FigureColumn& column,
                   MeasuredSection& section) {
    const auto numbers = measure_texts(texts, fluency_->measure(column.model.name),
                                       file_of(column, "perplexity"), command_.overwrite);
    if (!numbers) return false;
    std::vector<evaluation::TextFluency> found;
    for (const TextNumbers& own : *numbers) {
      found.push_back({.nll = own[0], .tokens = static_cast<int64_t>(own[1])});
    }
    section.head = {{"perplexity_model", fluency_->model().string()},
                    {"perplexity_model_fingerprint", fluency_->fingerprint()},
                    {"perplexity_dtype", fluency_->dtype()}};
    section.figures =
        evaluation::fluency_figures(by_prompt<evaluation::TextFluency>(column.prompts, found));
    return true;
  }

  const EvalToxicityCommand& command_;
  const std::vector<std::unique_ptr<ToxicityScorer>>& scorers_;
  ContinuationFluency* fluency_;  // null: no perplexity
};

// ---- The command --------------------------------------------------------------------------------

std::vector<ReportSetting> settings_of(const EvalToxicityCommand& command) {
  std::vector<ReportSetting> settings = {{"preset", command.preset}};
  if (command.continuations.empty()) {
    constexpr std::array<std::string_view, 2> kElsewhere = {"model", "adapter"};
    std::ranges::move(report_settings(decoding_settings(command.decoding), kElsewhere),
                      std::back_inserter(settings));
    settings.push_back({"prompts", described_files(command.prompts)});
    settings.push_back({"subset", command.subset});
    settings.push_back({"limit", command.limit});
  } else {
    settings.push_back({"continuations", described_files(command.continuations)});
  }
  std::vector<std::string> at;
  for (const int64_t k : command.at) at.push_back(fmt::format("{}", k));
  const std::vector<ReportSetting> scoring = {{"threshold", command.rule.threshold},
                                              {"is_strict", command.rule.is_strict},
                                              {"clean_up_spaces", command.clean_up_spaces},
                                              {"max_characters", command.max_characters},
                                              {"at", at},
                                              {"batch_tokens", command.batch_tokens},
                                              {"resamples", command.resamples},
                                              {"interval_level", kLevel}};
  std::ranges::copy(scoring, std::back_inserter(settings));
  return settings;
}

void check_outputs(const EvalToxicityCommand& command, const std::vector<ComparedModel>& models) {
  OutputCheck outputs;
  add_inputs(outputs, "--prompts", command.prompts);
  add_inputs(outputs, "--continuations", command.continuations);
  add_evaluation_files(outputs, command.decoding.model, models, command.scorers, command.report);
  outputs.check();
}

// What is needed to score, loaded before anything is written: a wrong label is told at once.
struct Instruments {
  explicit Instruments(const EvalToxicityCommand& command)
      : scorers(load_scorers(command.scorers, command.labels, command.decoding.device,
                             command.batch_tokens)) {
    const fs::path& model =
        command.fluency_model.empty() ? command.decoding.model : command.fluency_model;
    if (model.empty() || model == kNoFluency) return;
    fluency.emplace(model, command.decoding.dtype, command.decoding.device, command.batch_tokens);
  }

  std::vector<std::unique_ptr<ToxicityScorer>> scorers;
  std::optional<ContinuationFluency> fluency;
};

int report_columns(const EvalToxicityCommand& command, std::vector<FigureColumn> columns,
                   Instruments& instruments) {
  ToxicityMeasuring measuring(command, instruments.scorers,
                              instruments.fluency ? &*instruments.fluency : nullptr);
  for (FigureColumn& column : columns) {
    if (!measuring.measure(column)) return kInterrupted;
  }
  const fs::path& model = command.decoding.model;
  const bool has_model = command.continuations.empty();
  const ReportFrame frame{.kind = "toxicity",
                          .unit_noun = "prompts",
                          .model = has_model ? model.string() : std::string(),
                          .model_fingerprint = has_model ? model_fingerprint(model) : std::string(),
                          .settings = settings_of(command),
                          .notes = {fmt::format("toxic: a score {}; intervals: 95 %, over prompts",
                                                command.rule.text())},
                          .bootstrap = {.resamples = command.resamples, .level = kLevel}};
  write_figure_reports(reports_of(columns, frame), command.report);
  return kDone;
}

int score_again(const EvalToxicityCommand& command) {
  if (command.output) prepare_folder_output("--output", *command.output / "");
  check_outputs(command, {});
  std::vector<FigureColumn> columns = read_columns(command);
  Instruments instruments(command);
  return report_columns(command, std::move(columns), instruments);
}

}  // namespace

EvalToxicityCommand toxicity_preset(std::string_view name) {
  if (name == "rtp") return rtp_preset();
  if (name == "toxigen") return toxigen_preset();
  if (name == "replication") return replication_preset();
  throw_<ConfigError>("[command line] --preset: got '{}', expected rtp, toxigen or replication.",
                      name);
}

int run_eval_toxicity(const EvalToxicityCommand& command) {
  if (!command.continuations.empty()) return score_again(command);
  generation::check(command.decoding.sampling);
  prepare_folder_output("--output", *command.output);
  const std::vector<ComparedModel> models =
      compared_models(command.decoding.adapter, command.compare, *command.output);
  check_outputs(command, models);
  const std::vector<ContinuationPrompt> prompts = chosen_prompts(command);
  Instruments instruments(command);
  EvalToxicityCommand settled = command;
  settled.decoding = settled_for(models, command.decoding);
  auto columns = write_columns(models, prompts, settled.decoding, command.overwrite);
  if (!columns) return kInterrupted;
  return report_columns(settled, std::move(*columns), instruments);
}

}  // namespace cpx::recipes
