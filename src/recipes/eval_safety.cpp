// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_safety.h"

#include <chrono>
#include <iostream>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/safety_items.h"
#include "cpx/evaluation/safety_report.h"
#include "exit_status.h"
#include "measured_items.h"
#include "perplexity_scorer.h"

namespace cpx::recipes {

namespace {

using data::SafetyText;
using evaluation::SafetyReport;
using SafetyAdapter = std::optional<std::filesystem::path>;

std::vector<SafetyText> read_items(const std::filesystem::path& file, data::SafetyNeeds needs) {
  data::SafetyContent content = data::read_safety_items(file, needs);
  content.faults.throw_first_if_any();
  return std::move(content.items);
}

evaluation::SafetyScaling scaling_of(const EvalSafetyCommand& command) {
  return command.scale == "hate" ? evaluation::SafetyScaling::kHate
                                 : evaluation::SafetyScaling::kBoth;
}

std::vector<evaluation::SafetyItem> scored_items(const std::vector<SafetyText>& texts) {
  std::vector<evaluation::SafetyItem> items;
  for (const SafetyText& text : texts) {
    items.push_back({.is_hate = text.is_hate,
                     .toxicity_score = text.toxicity_score,
                     .target_groups = text.target_groups,
                     .perplexity = text.perplexity});
  }
  return items;
}

// The settings of a report that do not depend on a model; `input` is its flag and file.
std::vector<evaluation::ReportSetting> safety_settings(const EvalSafetyCommand& command,
                                                       const evaluation::ReportSetting& input) {
  return {input,
          {"scale", command.scale},
          {"resamples", command.resamples},
          {"seed", static_cast<int64_t>(command.seed)}};
}

// Adds the intervals to the reports of `models`, if they are asked for.
void add_intervals(const EvalSafetyCommand& command,
                   const std::vector<std::vector<evaluation::SafetyItem>>& models,
                   std::vector<SafetyReport>& reports) {
  if (command.resamples == 0) return;
  const auto intervals = evaluation::safety_intervals(
      models, scaling_of(command), {.resamples = command.resamples, .seed = command.seed});
  for (size_t i = 0; i < reports.size(); ++i) reports[i].intervals = intervals[i];
}

std::vector<PlacedText> texts_of_items(const std::vector<SafetyText>& items) {
  std::vector<PlacedText> texts;
  for (const SafetyText& item : items) texts.push_back({.text = item.text, .where = item.where});
  return texts;
}

std::vector<pipeline::Setting> safety_journal_settings(const EvalSafetyCommand& command,
                                                       const PerplexityScorer& scorer) {
  TextHash hash;
  for (const PlacedText& text : scorer.texts()) hash.add_text(text.text);
  auto settings = journal_settings(command.scoring, scorer.dtype());
  settings.push_back({"texts", fmt::format("{} texts, {}", scorer.texts().size(), hash.hex())});
  return settings;
}

// The items of --data under the model and its adapters.
class SafetyEvaluation {
 public:
  explicit SafetyEvaluation(const EvalSafetyCommand& command)
      : command_(command),
        items_(read_items(*command.data, data::SafetyNeeds::kText)),
        scorer_(command.scoring, texts_of_items(items_), recorded_dtype(command.items)),
        journal_(command.items, "--items", safety_journal_settings(command, scorer_),
                 command.overwrite) {}

  // The reports of all adapters, or nothing when interrupted.
  std::optional<std::vector<SafetyReport>> reports() {
    std::vector<SafetyReport> reports;
    for (const SafetyAdapter& adapter : measured_adapters(command_.scoring)) {
      const auto start = std::chrono::steady_clock::now();
      const auto scores = scorer_.score(adapter, journal_.progressing(reports.size()));
      if (!scores) {
        log_interrupted(/*goes_on=*/journal_.is_kept());
        return std::nullopt;
      }
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      log_info("{} texts in {:.1f} s", scores->size(), elapsed.count());
      reports.push_back(report(adapter, *scores));
      reports.back().seconds = elapsed.count();
    }
    add_intervals(command_, scored_, reports);
    return reports;
  }

  // Writes the items with their perplexities under the last adapter, which is the only one.
  void write_items() {
    if (!command_.items) return;
    std::string lines;
    for (const SafetyText& item : items_) lines += item_line(item);
    write_report(*command_.items, lines);
    journal_.remove();
  }

 private:
  SafetyReport report(const SafetyAdapter& adapter,
                      const std::vector<evaluation::TextScore>& scores) {
    int64_t num_non_finite = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      items_[i].perplexity = perplexity_of(scores[i]);
      num_non_finite += !items_[i].perplexity && scores[i].tokens > 0 ? 1 : 0;
    }
    scored_.push_back(scored_items(items_));
    auto settings = safety_settings(command_, {"data", command_.data->string()});
    for (auto& setting : scoring_settings(command_.scoring, scorer_.dtype())) {
      settings.push_back(setting);
    }
    return {.model = command_.scoring.model.string(),
            .adapter = adapter ? std::optional(adapter->string()) : std::nullopt,
            .score = evaluation::safety_score(scored_.back(), scaling_of(command_)),
            .num_non_finite = num_non_finite,
            .origin = origin_of(command_.scoring, adapter, settings)};
  }

  const EvalSafetyCommand& command_;
  std::vector<SafetyText> items_;
  PerplexityScorer scorer_;
  ScoringJournal journal_;
  std::vector<std::vector<evaluation::SafetyItem>> scored_;  // by adapter
};

std::vector<SafetyReport> reports_of_given(const EvalSafetyCommand& command) {
  const std::filesystem::path& file = *command.perplexities;
  const std::vector<std::vector<evaluation::SafetyItem>> models = {
      scored_items(read_items(file, data::SafetyNeeds::kPerplexity))};
  std::vector<SafetyReport> reports(1);
  reports[0].perplexities = file.string();
  reports[0].score = evaluation::safety_score(models[0], scaling_of(command));
  reports[0].origin.settings = safety_settings(command, {"perplexities", file.string()});
  add_intervals(command, models, reports);
  return reports;
}

void write_reports(const EvalSafetyCommand& command, const std::vector<SafetyReport>& reports) {
  if (command.report) write_report(*command.report, evaluation::safety_report_json(reports));
  if (!fills_standard_output({command.report, command.items})) {
    std::cout << evaluation::safety_report_table(reports);
  }
}

void check_safety_outputs(const EvalSafetyCommand& command) {
  OutputCheck outputs;
  add_scoring_inputs(outputs, command.scoring);
  if (command.data) outputs.reads("--data", *command.data);
  if (command.perplexities) outputs.reads("--perplexities", *command.perplexities);
  if (command.report) outputs.writes("--report", *command.report);
  if (command.items) outputs.writes("--items", *command.items);
  outputs.check();
}

}  // namespace

int run_eval_safety(const EvalSafetyCommand& command) {
  check_safety_outputs(command);
  if (command.perplexities) {
    write_reports(command, reports_of_given(command));
    return kDone;
  }
  SafetyEvaluation evaluation(command);
  const auto reports = evaluation.reports();
  if (!reports) return kInterrupted;
  write_reports(command, *reports);
  evaluation.write_items();
  return kDone;
}

}  // namespace cpx::recipes
