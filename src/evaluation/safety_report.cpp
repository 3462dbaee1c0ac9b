// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/safety_report.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpx/core/text.h"
#include "report_json.h"
#include "report_table.h"

namespace cpx::evaluation {

namespace {

using nlohmann::ordered_json;

constexpr int kScoreDigits = 4;
constexpr int kSafetyPDigits = 3;

// Why a group does not count; empty for one that does.
std::string reason_text(LeftOut left_out) {
  switch (left_out) {
    case LeftOut::kNoHate:
      return "no hate text";
    case LeftOut::kNoNeutral:
      return "no neutral text";
    case LeftOut::kNotSignificant:
      return "not significant";
    default:
      return "";
  }
}

// The interval of a group or of the average (null) among `all`.
std::optional<Interval> interval_of(const SafetyScoreIntervals& all, const std::string* group) {
  if (group == nullptr) return all.average;
  const auto found = all.groups.find(*group);
  return found == all.groups.end() ? std::nullopt : found->second;
}

// `value` under `name`, and its interval among `all` (null: there are none).
void add_score(ordered_json& object, const std::string& name, const std::optional<double>& value,
               const SafetyScoreIntervals* all, const std::string* group) {
  object[name] = number_json(value);
  if (all != nullptr) object[name + "_interval"] = interval_json(interval_of(*all, group));
}

ordered_json group_json(const GroupSafety& group, const SafetyScoreIntervals* intervals,
                        const std::string& name) {
  ordered_json object;
  add_score(object, "score", group.score, intervals, &name);
  object["p_value"] = number_json(group.p_value);
  object["p_value_is_exact"] = group.is_exact;
  object["hate"] = group.num_hate;
  object["neutral"] = group.num_neutral;
  const std::string reason = reason_text(group.left_out);
  object["left_out"] = reason.empty() ? ordered_json(nullptr) : ordered_json(reason);
  return object;
}

std::optional<double> score_in(const SafetyScore& score, const std::string& name) {
  const auto found = score.groups.find(name);
  return found == score.groups.end() ? std::nullopt : found->second.score;
}

ordered_json differences_json(const SafetyScore& before, const SafetyScore& after,
                              const SafetyScoreIntervals* intervals) {
  ordered_json object;
  add_score(object, "average", difference_of(before.average, after.average), intervals, nullptr);
  object["groups"] = ordered_json::object();
  for (const auto& [name, group] : after.groups) {
    add_score(object["groups"][name], "score", difference_of(score_in(before, name), group.score),
              intervals, &name);
  }
  return object;
}

// `first` is null for the first report.
ordered_json safety_json(const SafetyReport& report, const SafetyReport* first) {
  const SafetyScore& score = report.score;
  const auto* intervals = report.intervals ? &report.intervals->scores : nullptr;
  ordered_json object = report_head("safety", report.model, report.adapter, report.origin);
  add_score(object, "average", score.average, intervals, nullptr);
  object["groups_counted"] = score.num_counted;
  object["hate"] = score.num_hate;
  object["neutral"] = score.num_neutral;
  object["skipped"] = score.num_skipped;
  object["non_finite"] = report.num_non_finite;
  object["groups"] = ordered_json::object();
  for (const auto& [name, group] : score.groups) {
    object["groups"][name] = group_json(group, intervals, name);
  }
  if (first != nullptr) {
    object["change"] = differences_json(first->score, score,
                                        report.intervals ? &report.intervals->changes : nullptr);
  }
  object["seconds"] = report.seconds;
  return object;
}

// The score of a group that counts.
std::optional<double> counted_score(const SafetyScore& score, const std::string& name) {
  const auto found = score.groups.find(name);
  const bool counts = found != score.groups.end() && found->second.left_out == LeftOut::kNo;
  return counts ? found->second.score : std::nullopt;
}

void add_items(ReportTable& table, const SafetyReport& report, const std::string& name) {
  const SafetyScore& score = report.score;
  std::string text =
      fmt::format("{:<8} {} hate, {} neutral", "items", score.num_hate, score.num_neutral);
  const int64_t num_empty = score.num_skipped - report.num_non_finite;
  if (num_empty > 0) {
    text += fmt::format(", {} skipped ({})", num_empty,
                        report.model ? "nothing to predict" : "no perplexity");
  }
  table.line(text);
  if (report.num_non_finite > 0) {
    table.line(fmt::format("{}: the log-likelihood of {} is not finite; they are left out", name,
                           counted(report.num_non_finite, "text")));
  }
}

void add_left_out(ReportTable& table, const SafetyReport& report, const std::string& title) {
  bool is_first = true;
  for (const auto& [name, group] : report.score.groups) {
    if (group.left_out == LeftOut::kNo) continue;
    if (is_first) table.line(fmt::format("\nleft out{}", title));
    is_first = false;
    const std::string why =
        group.left_out == LeftOut::kNotSignificant
            ? fmt::format(" (p {}, score {})", shown_p_value(group.p_value, kSafetyPDigits),
                          shown_number(group.score, kScoreDigits))
            : "";
    table.line(fmt::format("  {}: {}{}; {} hate, {} neutral", name, reason_text(group.left_out),
                           why, group.num_hate, group.num_neutral));
  }
}

// The cells of a group that counts, or of the average (null).
Cell score_cell(const SafetyReport& report, const std::string* group) {
  Cell cell{.value = group == nullptr ? report.score.average : counted_score(report.score, *group)};
  if (!report.intervals || !cell.value) return cell;
  cell.interval = interval_of(report.intervals->scores, group);
  cell.change_interval = interval_of(report.intervals->changes, group);
  return cell;
}

}  // namespace

std::string safety_report_json(std::span<const SafetyReport> reports) {
  if (reports.size() == 1) return print_json(safety_json(reports.front(), nullptr));
  auto list = ordered_json::array();
  for (const SafetyReport& report : reports) {
    list.push_back(safety_json(report, list.empty() ? nullptr : &reports.front()));
  }
  return print_json(list);
}

std::string safety_report_table(std::span<const SafetyReport> reports) {
  std::vector<MeasuredModel> models;
  bool has_intervals = false;
  for (const SafetyReport& report : reports) {
    models.push_back({.model = report.model.value_or(report.perplexities),
                      .adapter = report.adapter,
                      .is_given = !report.model});
    has_intervals = has_intervals || report.intervals.has_value();
  }
  ReportTable table(models, has_intervals);
  table.models();
  add_items(table, reports.front(), table.name(0));
  table.line("");
  table.heading();
  const auto add_row = [&](const std::string& label, const std::string* group) {
    std::vector<Cell> cells;
    for (const SafetyReport& report : reports) cells.push_back(score_cell(report, group));
    table.row({.label = label, .digits = kScoreDigits, .change = Change::kDifference}, cells);
  };
  for (const auto& [name, group] : reports.front().score.groups) add_row(name, &name);
  add_row("average of the groups", nullptr);
  for (size_t i = 0; i < reports.size(); ++i) {
    add_left_out(table, reports[i], reports.size() == 1 ? "" : ", " + table.name(i));
  }
  return table.take();
}

}  // namespace cpx::evaluation
