// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_ppl.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/evaluation/report.h"
#include "cpx/evaluation/score_texts.h"
#include "exit_status.h"
#include "input_patterns.h"
#include "measured_items.h"
#include "perplexity_scorer.h"
#include "side_texts.h"

namespace cpx::recipes {

namespace {

using evaluation::Report;
using objectives::ScoredText;
using objectives::Side;
using Adapter = std::optional<std::filesystem::path>;

constexpr int64_t kPublishedWindow = 4096;
constexpr int64_t kPublishedStride = 512;

bool is_published(const EvalPplCommand& command) { return command.mode == "published"; }

std::vector<PlacedText> placed_texts(const std::vector<SideText>& texts) {
  std::vector<PlacedText> placed;
  for (const SideText& text : texts) placed.push_back({.text = text.text, .where = text.where});
  return placed;
}

// As published: a side's texts are one text, joined by blank lines.
std::vector<ScoredText> score_joined(nn::CausalLm& model, const data::TextEncoder& encoder,
                                     const std::vector<SideText>& texts, const std::string& title) {
  std::vector<ScoredText> scored;
  for (const Side side : {Side::kToxic, Side::kNeutral}) {
    std::string joined;
    for (const SideText& text : texts) {
      if (text.side != side) continue;
      joined += (joined.empty() ? "" : "\n\n") + text.text;
    }
    if (joined.empty()) continue;
    const data::EncodedText encoded = encoder.encode(joined);
    Progress progress(title, static_cast<int64_t>(encoded.ids.size()));
    const evaluation::TextScore score = evaluation::score_published(
        model, encoded.ids, kPublishedWindow, kPublishedStride, [&](int64_t done) {
          progress.update(done, "tokens");
          return !interrupt_requested();
        });
    scored.push_back({.side = side, .group = "", .nll_sum = score.nll_sum, .tokens = score.tokens});
  }
  return scored;
}

// Joined texts are one text a side: what compares texts has no meaning.
void drop_text_figures(objectives::SideComparison& comparison) {
  comparison.toxic.mean_text_perplexity.reset();
  comparison.neutral.mean_text_perplexity.reset();
  comparison.separation.reset();
  comparison.p_value.reset();
}

void log_rate(const std::vector<ScoredText>& scored, double seconds) {
  int64_t tokens = 0;
  for (const ScoredText& text : scored) tokens += text.tokens;
  log_info("{} texts, {} predicted tokens in {:.1f} s, {:.0f} a second", scored.size(), tokens,
           seconds, static_cast<double>(tokens) / seconds);
}

evaluation::SettingValue path_setting(const Adapter& path) {
  return path ? evaluation::SettingValue(path->string()) : evaluation::SettingValue();
}

std::vector<evaluation::ReportSetting> report_settings(const EvalPplCommand& command,
                                                       const std::string& dtype) {
  std::vector<evaluation::ReportSetting> settings = {
      {"shards", command.shards},
      {"toxic", path_setting(command.toxic)},
      {"neutral", path_setting(command.neutral)},
      {"distinct", command.is_distinct},
      {"num_toxic", command.num_toxic},
      {"num_neutral", command.num_neutral},
      {"limit", command.limit},
      {"seed", static_cast<int64_t>(command.seed)},
      {"mode", command.mode},
      {"resamples", is_published(command) ? 0 : command.resamples}};
  for (auto& setting : scoring_settings(command.scoring, dtype)) settings.push_back(setting);
  return settings;
}

std::vector<pipeline::Setting> items_settings(const EvalPplCommand& command,
                                              const std::vector<SideText>& texts,
                                              const std::string& dtype) {
  auto settings = journal_settings(command.scoring, dtype);
  settings.push_back({"texts", texts_fingerprint(texts)});
  return settings;
}

class Evaluation {
 public:
  explicit Evaluation(const EvalPplCommand& command)
      : command_(command),
        texts_(chosen_texts(command)),
        scorer_(command.scoring, placed_texts(texts_), recorded_dtype(command.items)),
        journal_(command.items, "--items", items_settings(command, texts_, scorer_.dtype()),
                 command.overwrite) {}

  // The reports of all adapters, or nothing when interrupted.
  std::optional<std::vector<Report>> reports() {
    std::vector<Report> reports;
    for (const Adapter& adapter : measured_adapters(command_.scoring)) {
      if (!score(adapter)) {
        log_interrupted(/*goes_on=*/journal_.is_kept());
        return std::nullopt;
      }
      reports.push_back(report(adapter));
    }
    if (is_published(command_) || command_.resamples == 0) return reports;
    const auto intervals = evaluation::perplexity_intervals(
        scored_, {.resamples = command_.resamples, .seed = command_.seed});
    for (size_t i = 0; i < reports.size(); ++i) reports[i].intervals = intervals[i];
    return reports;
  }

  // Writes the items of all adapters.
  void write_items() {
    if (!command_.items) return;
    std::string lines;
    const MeasuredAdapters adapters = measured_adapters(command_.scoring);
    for (size_t model = 0; model < adapters.size(); ++model) {
      for (size_t i = 0; i < texts_.size(); ++i) {
        lines += item_line(adapters[model], texts_[i], scored_[model][i]);
      }
    }
    write_report(*command_.items, lines);
    journal_.remove();
  }

 private:
  // Adds the adapter's scores; false if a signal came.
  bool score(const Adapter& adapter) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<ScoredText> scored;
    if (is_published(command_)) {
      const std::string title = adapter ? adapter->string() : command_.scoring.model.string();
      scored = score_joined(*scorer_.model_with(adapter), scorer_.encoder(), texts_, title);
    } else if (const auto scores = scorer_.score(adapter, journal_.progressing(scored_.size()))) {
      for (size_t i = 0; i < texts_.size(); ++i) {
        scored.push_back({.side = texts_[i].side,
                          .group = texts_[i].group,
                          .nll_sum = (*scores)[i].nll_sum,
                          .tokens = (*scores)[i].tokens});
      }
    }
    if (interrupt_requested()) return false;
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log_rate(scored, seconds_);
    scored_.push_back(std::move(scored));
    return true;
  }

  // The report of the last scores.
  Report report(const Adapter& adapter) const {
    const auto settings = report_settings(command_, scorer_.dtype());
    Report report{.model = command_.scoring.model.string(),
                  .adapter = adapter ? std::optional(adapter->string()) : std::nullopt,
                  .summary = objectives::summarize_perplexity(scored_.back()),
                  .seconds = seconds_,
                  .distinct_texts = {.toxic = num_distinct(texts_, Side::kToxic),
                                     .neutral = num_distinct(texts_, Side::kNeutral)},
                  .origin = origin_of(command_.scoring, adapter, settings)};
    if (is_published(command_)) drop_text_figures(report.summary.all);
    return report;
  }

  const EvalPplCommand& command_;
  std::vector<SideText> texts_;
  PerplexityScorer scorer_;
  ScoringJournal journal_;
  std::vector<std::vector<ScoredText>> scored_;  // by adapter
  double seconds_ = 0.0;                         // of the last
};

void check_outputs(const EvalPplCommand& command) {
  if (!command.report && !command.items) return;
  OutputCheck outputs;
  add_scoring_inputs(outputs, command.scoring);
  if (command.toxic) outputs.reads("--toxic", *command.toxic);
  if (command.neutral) outputs.reads("--neutral", *command.neutral);
  add_inputs(outputs, "--shards", command.shards);
  if (command.report) outputs.writes("--report", *command.report);
  if (command.items) outputs.writes("--items", *command.items);
  outputs.check();
}

}  // namespace

int run_eval_ppl(const EvalPplCommand& command) {
  check_outputs(command);
  Evaluation evaluation(command);
  const auto reports = evaluation.reports();
  if (!reports) return kInterrupted;
  if (command.report) write_report(*command.report, evaluation::report_json(*reports));
  evaluation.write_items();
  if (!fills_standard_output({command.report, command.items})) {
    std::cout << evaluation::report_table(*reports);
  }
  return kDone;
}

}  // namespace cpx::recipes
