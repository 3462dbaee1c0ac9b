// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report_json.h"
#include "report_table.h"

namespace cpx::evaluation {

namespace {

using nlohmann::ordered_json;
using objectives::SideComparison;
using objectives::SideSummary;

// The comparison or the intervals of `group` (empty: of all texts) in a summary; null where it has
// no such group.
template <class Summary>
auto* of_group(const Summary& summary, const std::string& group) {
  if (group.empty()) return &summary.all;
  const auto found = summary.groups.find(group);
  return found == summary.groups.end() ? nullptr : &found->second;
}

// ---- JSON ---------------------------------------------------------------------------------------

void add_interval(ordered_json& object, const std::string& name, const ComparisonIntervals* all,
                  const std::function<std::optional<Interval>(const ComparisonIntervals&)>& one) {
  if (all != nullptr) object[name + "_interval"] = interval_json(one(*all));
}

ordered_json side_json(const SideSummary& side, const ComparisonIntervals* intervals,
                       SideIntervals ComparisonIntervals::*own) {
  ordered_json object = {{"texts", side.texts},
                         {"tokens", side.tokens},
                         {"skipped", side.skipped},
                         {"non_finite", side.non_finite}};
  object["perplexity"] = number_json(side.perplexity);
  add_interval(object, "perplexity", intervals,
               [&](const auto& of) { return (of.*own).perplexity; });
  object["mean_text_perplexity"] = number_json(side.mean_text_perplexity);
  add_interval(object, "mean_text_perplexity", intervals,
               [&](const auto& of) { return (of.*own).mean_text_perplexity; });
  return object;
}

ordered_json comparison_json(const SideComparison& comparison,
                             const ComparisonIntervals* intervals) {
  ordered_json object;
  object["sides"]["toxic"] = side_json(comparison.toxic, intervals, &ComparisonIntervals::toxic);
  object["sides"]["neutral"] =
      side_json(comparison.neutral, intervals, &ComparisonIntervals::neutral);
  object["ratio"] = number_json(comparison.ratio);
  add_interval(object, "ratio", intervals, [](const auto& of) { return of.ratio; });
  object["separation"] = number_json(comparison.separation);
  add_interval(object, "separation", intervals, [](const auto& of) { return of.separation; });
  object["p_value"] = number_json(comparison.p_value);
  return object;
}

ordered_json side_change_json(const SideSummary& before, const SideSummary& after,
                              const ComparisonIntervals* intervals,
                              SideIntervals ComparisonIntervals::*own) {
  ordered_json object;
  object["perplexity_percent"] = number_json(percent_change(before.perplexity, after.perplexity));
  add_interval(object, "perplexity_percent", intervals,
               [&](const auto& of) { return (of.*own).perplexity; });
  object["mean_text_perplexity_percent"] =
      number_json(percent_change(before.mean_text_perplexity, after.mean_text_perplexity));
  add_interval(object, "mean_text_perplexity_percent", intervals,
               [&](const auto& of) { return (of.*own).mean_text_perplexity; });
  return object;
}

ordered_json change_json(const SideComparison& before, const SideComparison& after,
                         const ComparisonIntervals* intervals) {
  ordered_json object;
  object["sides"]["toxic"] =
      side_change_json(before.toxic, after.toxic, intervals, &ComparisonIntervals::toxic);
  object["sides"]["neutral"] =
      side_change_json(before.neutral, after.neutral, intervals, &ComparisonIntervals::neutral);
  object["ratio_percent"] = number_json(percent_change(before.ratio, after.ratio));
  add_interval(object, "ratio_percent", intervals, [](const auto& of) { return of.ratio; });
  object["separation"] = number_json(difference_of(before.separation, after.separation));
  add_interval(object, "separation", intervals, [](const auto& of) { return of.separation; });
  return object;
}

// Figures of all texts or of a group, and their changes against `first` (null: this is the first).
ordered_json figures_json(const Report& report, const Report* first, const std::string& group) {
  const ModelIntervals* intervals = report.intervals ? &*report.intervals : nullptr;
  const SideComparison& comparison = *of_group(report.summary, group);
  ordered_json object = comparison_json(
      comparison, intervals == nullptr ? nullptr : of_group(intervals->figures, group));
  const SideComparison* before = first == nullptr ? nullptr : of_group(first->summary, group);
  if (before != nullptr) {
    object["change"] = change_json(
        *before, comparison, intervals == nullptr ? nullptr : of_group(intervals->changes, group));
  }
  return object;
}

ordered_json to_json(const Report& report, const Report* first) {
  ordered_json object = report_head("perplexity", report.model, report.adapter, report.origin);
  object.update(figures_json(report, first, ""));
  const DistinctTexts& distinct = report.distinct_texts;
  if (distinct.toxic) object["sides"]["toxic"]["distinct_texts"] = *distinct.toxic;
  if (distinct.neutral) object["sides"]["neutral"]["distinct_texts"] = *distinct.neutral;
  object["groups"] = ordered_json::object();
  for (const auto& [name, comparison] : report.summary.groups) {
    object["groups"][name] = figures_json(report, first, name);
  }
  object["seconds"] = report.seconds;
  return object;
}

// ---- The table ----------------------------------------------------------------------------------

using Figure = std::function<std::optional<double>(const SideComparison&)>;
using IntervalFigure = std::function<std::optional<Interval>(const ComparisonIntervals&)>;

// A figure of a comparison and its row in the table.
struct FigureRow {
  std::string label;
  int digits = 0;
  Change change = Change::kNone;
  Figure figure;
  IntervalFigure interval = {};  // empty: it has none
  Show show = shown_number;
};

// The cells of `group` (empty: of all texts) in the report's column.
Cell cell_of(const Report& report, const FigureRow& row, const std::string& group) {
  Cell cell;
  if (const auto* comparison = of_group(report.summary, group)) {
    cell.value = row.figure(*comparison);
  }
  if (!report.intervals || !row.interval || !cell.value) return cell;
  const auto interval_in = [&](const PerplexityIntervals& intervals) {
    const auto* found = of_group(intervals, group);
    return found == nullptr ? std::nullopt : row.interval(*found);
  };
  cell.interval = interval_in(report.intervals->figures);
  cell.change_interval = interval_in(report.intervals->changes);
  return cell;
}

void add_row(ReportTable& table, std::span<const Report> reports, const FigureRow& row,
             const std::string& group = "") {
  std::vector<Cell> cells;
  for (const Report& report : reports) cells.push_back(cell_of(report, row, group));
  table.row({.label = row.label, .digits = row.digits, .change = row.change, .show = row.show},
            cells);
}

FigureRow ratio_row(const std::string& label) {
  return {.label = label,
          .digits = 3,
          .change = Change::kPercent,
          .figure = [](const auto& c) { return c.ratio; },
          .interval = [](const auto& i) { return i.ratio; }};
}

std::vector<FigureRow> figure_rows() {
  return {
      {.label = "perplexity, toxic",
       .digits = 2,
       .change = Change::kPercent,
       .figure = [](const auto& c) { return c.toxic.perplexity; },
       .interval = [](const auto& i) { return i.toxic.perplexity; }},
      {.label = "perplexity, neutral",
       .digits = 2,
       .change = Change::kPercent,
       .figure = [](const auto& c) { return c.neutral.perplexity; },
       .interval = [](const auto& i) { return i.neutral.perplexity; }},
      {.label = "mean of texts, toxic",
       .digits = 2,
       .change = Change::kPercent,
       .figure = [](const auto& c) { return c.toxic.mean_text_perplexity; },
       .interval = [](const auto& i) { return i.toxic.mean_text_perplexity; }},
      {.label = "mean of texts, neutral",
       .digits = 2,
       .change = Change::kPercent,
       .figure = [](const auto& c) { return c.neutral.mean_text_perplexity; },
       .interval = [](const auto& i) { return i.neutral.mean_text_perplexity; }},
      ratio_row("ratio toxic / neutral"),
      {.label = "separation",
       .digits = 3,
       .change = Change::kDifference,
       .figure = [](const auto& c) { return c.separation; },
       .interval = [](const auto& i) { return i.separation; }},
      {.label = "p value (Mann-Whitney)",
       .digits = 6,
       .figure = [](const auto& c) { return c.p_value; },
       .show = shown_p_value},
  };
}

void add_counts(ReportTable& table, const Report& report) {
  const auto add = [&](const char* name, const SideSummary& side,
                       const std::optional<int64_t>& num_distinct) {
    if (side.texts + side.skipped == 0) return;
    const std::string skipped =
        side.skipped > 0 ? fmt::format(", {} skipped (nothing to predict)", side.skipped) : "";
    const std::string distinct = num_distinct ? fmt::format(" ({} different)", *num_distinct) : "";
    table.line(fmt::format("{:<8} {} texts{}, {} tokens{}", name, side.texts, distinct, side.tokens,
                           skipped));
  };
  const SideComparison& all = report.summary.all;
  add("toxic", all.toxic, report.distinct_texts.toxic);
  add("neutral", all.neutral, report.distinct_texts.neutral);
}

// Why a figure is missing.
void add_non_finite(ReportTable& table, const Report& report, const std::string& name) {
  const SideComparison& all = report.summary.all;
  const int64_t count = all.toxic.non_finite + all.neutral.non_finite;
  if (count == 0) return;
  table.line(fmt::format(
      "{}: the log-likelihood of {} texts is not finite; figures over them are -", name, count));
}

}  // namespace

std::string report_json(std::span<const Report> reports) {
  if (reports.size() == 1) return print_json(to_json(reports.front(), nullptr));
  auto list = ordered_json::array();
  for (const Report& report : reports) {
    list.push_back(to_json(report, list.empty() ? nullptr : &reports.front()));
  }
  return print_json(list);
}

std::string report_table(std::span<const Report> reports) {
  std::vector<MeasuredModel> models;
  bool has_intervals = false;
  for (const Report& report : reports) {
    models.push_back({.model = report.model, .adapter = report.adapter});
    has_intervals = has_intervals || report.intervals.has_value();
  }
  ReportTable table(models, has_intervals);
  table.models();
  add_counts(table, reports.front());
  for (size_t i = 0; i < reports.size(); ++i) add_non_finite(table, reports[i], table.name(i));
  table.line("");
  table.heading();
  for (const FigureRow& row : figure_rows()) add_row(table, reports, row);
  const bool has_ratios = reports.front().summary.all.ratio.has_value();
  if (has_ratios && reports.front().summary.groups.size() > 1) {
    table.line("\nratio by group");
    for (const auto& [name, comparison] : reports.front().summary.groups) {
      add_row(table, reports, ratio_row("  " + name), name);
    }
  }
  return table.take();
}

}  // namespace cpx::evaluation
