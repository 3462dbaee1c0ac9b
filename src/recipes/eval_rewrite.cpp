// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_rewrite.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "compared_models.h"
#include "continuation_file.h"
#include "cpx/core/error.h"
#include "cpx/core/output_check.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/evaluation/rewrite_figures.h"
#include "cpx/pipeline/candidates.h"
#include "cpx/pipeline/prompt_file.h"
#include "cpx/pipeline/templates.h"
#include "decoding_settings.h"
#include "evaluation_inputs.h"
#include "exit_status.h"
#include "figure_columns.h"
#include "fingerprint.h"
#include "folder_output.h"
#include "input_patterns.h"
#include "text_similarity.h"
#include "toxicity_scorer.h"

namespace cpx::recipes {

namespace {

using evaluation::ReportSetting;
using pipeline::ContinuedPrompt;
namespace fs = std::filesystem;

constexpr double kRewriteLevel = 0.95;  // of the intervals

// ---- Inputs -------------------------------------------------------------------------------------

// A text to rewrite.
struct RewriteInput {
  std::string text = {};
  std::string group = {};
  std::string where = {};
};

void add_texts(const std::vector<std::string>& patterns, std::vector<RewriteInput>& inputs) {
  Faults faults;
  for (const fs::path& file : data::expand_globs(patterns, faults)) {
    pipeline::PromptContent content = pipeline::read_prompts(file);
    faults.append(content.faults);
    for (data::Input& input : content.inputs) {
      inputs.push_back({std::move(input.text), std::move(input.group), std::move(input.where)});
    }
  }
  faults.throw_first_if_any();
}

void add_toxic_texts(const std::vector<std::string>& patterns, std::vector<RewriteInput>& inputs) {
  Faults faults;
  const std::vector<fs::path> files = data::expand_globs(patterns, faults);
  data::ShardContent content = data::read_shards(files, {.neutral = false, .toxic = true});
  faults.append(content.faults);
  faults.throw_first_if_any();
  for (data::Record& record : content.records) {
    for (size_t i = 0; i < record.toxic.size(); ++i) {
      inputs.push_back({std::move(record.toxic[i]), pipeline::normalize_group(record.group),
                        fmt::format("{}: toxic text {}", record.where, i + 1)});
    }
  }
}

std::vector<ContinuationPrompt> requests_of(const EvalRewriteCommand& command,
                                            const pipeline::RequestTemplate& request) {
  std::vector<RewriteInput> inputs;
  add_texts(command.inputs, inputs);
  add_toxic_texts(command.shards, inputs);
  std::vector<ContinuationPrompt> requests;
  for (const int64_t number :
       drawn_numbers(std::ssize(inputs), command.limit, command.decoding.seed)) {
    const RewriteInput& input = inputs[static_cast<size_t>(number)];
    ContinuationPrompt& one = requests.emplace_back();
    one.text = pipeline::render_request(request, input.text);
    one.where = input.where;
    one.fields["input"] = input.text;
    if (!input.group.empty()) one.fields["group"] = input.group;
  }
  return requests;
}

// ---- Columns ------------------------------------------------------------------------------------

// The inputs with one answer each, which no model wrote: the copy, or nothing. What is measured of
// them stands beside `place`.
FigureColumn answered_column(const std::string& name, const FigureColumn& first,
                             const fs::path& place, bool is_copy) {
  FigureColumn column{
      .model = {.name = name, .texts = place}, .prompts = first.prompts, .is_baseline = true};
  for (ContinuedPrompt& prompt : column.prompts) {
    const std::string where = prompt.texts.front().where;
    prompt.texts = {{.text = is_copy ? prompt.input : std::string(), .where = where}};
  }
  return column;
}

void add_baselines(const fs::path& output, std::vector<FigureColumn>& columns) {
  const auto place = [&](const char* name) {
    return is_folder_output(output) ? output / (std::string(name) + ".jsonl")
                                    : beside_texts(output, name);
  };
  columns.push_back(answered_column("copy", columns.front(), place("copy"), /*is_copy=*/true));
  columns.push_back(
      answered_column("empty answer", columns.front(), place("empty"), /*is_copy=*/false));
}

std::vector<MeasuredText> rewritings_of(const FigureColumn& column,
                                        const pipeline::CandidateOptions& cleaning) {
  std::vector<MeasuredText> texts;
  for (const ContinuedPrompt& prompt : column.prompts) {
    for (const pipeline::WrittenText& written : prompt.texts) {
      texts.push_back({.prompt = prompt.prompt,
                       .sample = written.sample,
                       .text = column.is_baseline
                                   ? written.text
                                   : pipeline::clean_candidate(written.text, cleaning),
                       .where = written.where,
                       .input = prompt.input});
    }
  }
  return texts;
}

evaluation::RewriteForm form_of(const MeasuredText& text, double similarity,
                                const pipeline::CandidateOptions& cleaning) {
  const std::vector<std::string> answers = {text.text};
  const auto counts = pipeline::select_candidates(text.input, answers, cleaning).counts;
  return {.similarity = similarity, .is_copy = counts.copies > 0, .is_empty = counts.empty > 0};
}

// Scores the columns with the classifiers and the encoder.
class RewriteMeasuring {
 public:
  explicit RewriteMeasuring(const EvalRewriteCommand& command)
      : command_(command),
        cleaning_{.headers = command.cut_at, .keep = 1},
        scorers_(load_scorers(command.scorers, command.labels, command.decoding.device,
                              command.batch_tokens)),
        similarity_(command.encoder, command.decoding.device, command.batch_tokens) {}

  // False when interrupted.
  bool measure(FigureColumn& column) const {
    const std::vector<MeasuredText> texts = rewritings_of(column, cleaning_);
    const auto similarities =
        numbers_of(texts, similarity_.measure(column.model.name), column, similarity_.file_name());
    if (!similarities) return false;
    for (const auto& scorer : scorers_) {
      const auto scores =
          numbers_of(texts, scorer->measure(column.model.name), column, scorer->file_name());
      if (!scores) return false;
      add_scores(*scorer, *scores, *similarities, column);
    }
    add_forms(texts, *similarities, column);
    return true;
  }

 private:
  std::optional<std::vector<double>> numbers_of(std::span<const MeasuredText> texts,
                                                const TextMeasure& measure,
                                                const FigureColumn& column,
                                                const std::string& part) const {
    const auto rows =
        measure_texts(texts, measure, beside_texts(column.model.texts, part), command_.overwrite);
    if (!rows) return std::nullopt;
    std::vector<double> numbers;
    for (const TextNumbers& row : *rows) numbers.push_back(row.front());
    return numbers;
  }

  void add_scores(const ToxicityScorer& scorer, const std::vector<double>& scores,
                  const std::vector<double>& similarities, FigureColumn& column) const {
    std::vector<evaluation::RewriteScore> found;
    for (size_t i = 0; i < scores.size(); ++i) {
      found.push_back({.toxicity = scores[i], .similarity = similarities[i]});
    }
    column.sections.push_back(
        {.key = "scorers",
         .title = scorer.title(),
         .head = scorer.head(),
         .figures = evaluation::rewrite_figures(
             by_prompt<evaluation::RewriteScore>(column.prompts, found), command_.rule)});
  }

  void add_forms(std::span<const MeasuredText> texts, const std::vector<double>& similarities,
                 FigureColumn& column) const {
    std::vector<evaluation::RewriteForm> forms;
    for (size_t i = 0; i < texts.size(); ++i) {
      forms.push_back(form_of(texts[i], similarities[i], cleaning_));
    }
    column.sections.push_back({.key = "texts",
                               .title = "texts",
                               .head = similarity_.head(),
                               .figures = evaluation::form_figures(
                                   by_prompt<evaluation::RewriteForm>(column.prompts, forms))});
  }

  const EvalRewriteCommand& command_;
  pipeline::CandidateOptions cleaning_;
  std::vector<std::unique_ptr<ToxicityScorer>> scorers_;
  TextSimilarity similarity_;
};

// ---- The command --------------------------------------------------------------------------------

std::vector<ReportSetting> rewrite_settings(const EvalRewriteCommand& command,
                                            const pipeline::RequestTemplate& request) {
  constexpr std::array<std::string_view, 2> kElsewhere = {"model", "adapter"};
  std::vector<ReportSetting> settings =
      report_settings(decoding_settings(command.decoding), kElsewhere);
  const std::vector<ReportSetting> own = {{"inputs", described_files(command.inputs)},
                                          {"shards", described_files(command.shards)},
                                          {"limit", command.limit},
                                          {"template", request.name},
                                          {"template_text", request.text},
                                          {"cut_at", command.cut_at},
                                          {"threshold", command.rule.threshold},
                                          {"is_strict", command.rule.is_strict},
                                          {"batch_tokens", command.batch_tokens},
                                          {"resamples", command.resamples},
                                          {"interval_level", kRewriteLevel}};
  std::ranges::copy(own, std::back_inserter(settings));
  return settings;
}

void check_rewrite_outputs(const EvalRewriteCommand& command,
                           const std::vector<ComparedModel>& models) {
  OutputCheck outputs;
  add_inputs(outputs, "--input", command.inputs);
  add_inputs(outputs, "--shards", command.shards);
  if (fs::exists(command.request)) outputs.reads("--template", command.request);
  outputs.reads("--encoder", command.encoder);
  add_evaluation_files(outputs, command.decoding.model, models, command.scorers, command.report);
  outputs.check();
}

void write_rewrite_report(const EvalRewriteCommand& command,
                          const pipeline::RequestTemplate& request,
                          std::span<const FigureColumn> columns) {
  const ReportFrame frame{
      .kind = "rewrite",
      .unit_noun = "inputs",
      .model = command.decoding.model.string(),
      .model_fingerprint = model_fingerprint(command.decoding.model),
      .settings = rewrite_settings(command, request),
      .notes = {"Neither toxicity nor similarity means anything alone: the copy of a toxic input "
                "is as similar as can be, the empty answer is harmless.",
                fmt::format("toxic: a score {}; intervals: 95 %, over inputs",
                            command.rule.text())},
      .bootstrap = {.resamples = command.resamples, .level = kRewriteLevel}};
  write_figure_reports(reports_of(columns, frame), command.report);
}

}  // namespace

int run_eval_rewrite(const EvalRewriteCommand& command) {
  generation::check(command.decoding.sampling);
  prepare_folder_output("--output", *command.output);
  const std::vector<ComparedModel> models =
      compared_models(command.decoding.adapter, command.compare, *command.output);
  check_rewrite_outputs(command, models);
  const pipeline::RequestTemplate request = pipeline::load_template(command.request);
  const std::vector<ContinuationPrompt> requests = requests_of(command, request);
  const RewriteMeasuring measuring(command);
  EvalRewriteCommand settled = command;
  // What is behind a header is cut off: it need not be written.
  auto& stops = settled.decoding.stop_strings;
  stops.insert(stops.end(), command.cut_at.begin(), command.cut_at.end());
  settled.decoding = settled_for(models, settled.decoding);
  auto columns = write_columns(models, requests, settled.decoding, command.overwrite);
  if (!columns) return kInterrupted;
  add_baselines(*command.output, *columns);
  for (FigureColumn& column : *columns) {
    if (!measuring.measure(column)) return kInterrupted;
  }
  write_rewrite_report(settled, request, *columns);
  return kDone;
}

}  // namespace cpx::recipes
