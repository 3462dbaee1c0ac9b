// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cpx::evaluation {

namespace {

using nlohmann::ordered_json;
using objectives::SideComparison;
using objectives::SideSummary;

ordered_json number(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json side_json(const SideSummary& side) {
  return {{"texts", side.texts},
          {"tokens", side.tokens},
          {"skipped", side.skipped},
          {"non_finite", side.non_finite},
          {"perplexity", number(side.perplexity)},
          {"mean_text_perplexity", number(side.mean_text_perplexity)}};
}

ordered_json comparison_json(const SideComparison& comparison) {
  ordered_json sides;
  sides["toxic"] = side_json(comparison.toxic);
  sides["neutral"] = side_json(comparison.neutral);
  ordered_json object;
  object["sides"] = std::move(sides);
  object["ratio"] = number(comparison.ratio);
  object["separation"] = number(comparison.separation);
  object["p_value"] = number(comparison.p_value);
  return object;
}

ordered_json to_json(const Report& report) {
  ordered_json object;
  object["model"] = report.model;
  object["adapter"] = report.adapter ? ordered_json(*report.adapter) : ordered_json(nullptr);
  object.update(comparison_json(report.summary.all));
  const DistinctTexts& distinct = report.distinct_texts;
  if (distinct.toxic) object["sides"]["toxic"]["distinct_texts"] = *distinct.toxic;
  if (distinct.neutral) object["sides"]["neutral"]["distinct_texts"] = *distinct.neutral;
  object["groups"] = ordered_json::object();
  for (const auto& [name, comparison] : report.summary.groups) {
    object["groups"][name] = comparison_json(comparison);
  }
  object["seconds"] = report.seconds;
  return object;
}

// Paths may hold any bytes; those that are not UTF-8 are replaced.
std::string print(const ordered_json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

using Figure = std::function<std::optional<double>(const SideComparison&)>;
using Show = std::string (*)(const std::optional<double>& value, int digits);

std::string shown(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

// A p value is small, not zero.
std::string shown_p_value(const std::optional<double>& value, int digits) {
  const double smallest = std::pow(10.0, -digits);
  return value && *value < smallest ? fmt::format("<{:.{}f}", smallest, digits)
                                    : shown(value, digits);
}

// A row: the figure of each report, and how it changed.
class Table {
 public:
  explicit Table(std::span<const Report> reports) : reports_(reports) {}

  void heading() {
    text_ += fmt::format("{:<{}}", "", kLabelWidth);
    for (const Report& report : reports_) {
      text_ += fmt::format("  {:>{}}", report.adapter ? "adapter" : "base", kWidth);
    }
    if (reports_.size() == 2) text_ += fmt::format("  {:>{}}", "change", kWidth);
    text_ += "\n";
  }

  void row(const std::string& label, const Figure& figure, int digits, bool has_percent,
           const std::string& group = "", Show show = shown) {
    std::vector<std::optional<double>> values;
    for (const Report& report : reports_) values.push_back(value_of(report, figure, group));
    if (std::none_of(values.begin(), values.end(), [](const auto& v) { return v.has_value(); })) {
      return;
    }
    text_ += fmt::format("{:<{}}", label, kLabelWidth);
    for (const auto& value : values) text_ += fmt::format("  {:>{}}", show(value, digits), kWidth);
    if (has_percent && values.size() == 2 && values[0] && values[1]) {
      text_ += fmt::format("  {:>+{}.1f} %", (*values[1] / *values[0] - 1.0) * 100.0, kWidth - 2);
    }
    text_ += "\n";
  }

  void line(const std::string& text) { text_ += text + "\n"; }
  std::string take() { return std::move(text_); }

 private:
  static constexpr int kLabelWidth = 26;
  static constexpr int kWidth = 12;

  static std::optional<double> value_of(const Report& report, const Figure& figure,
                                        const std::string& group) {
    if (group.empty()) return figure(report.summary.all);
    const auto found = report.summary.groups.find(group);
    return found == report.summary.groups.end() ? std::nullopt : figure(found->second);
  }

  std::span<const Report> reports_;
  std::string text_;
};

void add_counts(Table& table, const Report& report) {
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
void add_non_finite(Table& table, const Report& report) {
  const SideComparison& all = report.summary.all;
  const int64_t count = all.toxic.non_finite + all.neutral.non_finite;
  if (count == 0) return;
  table.line(
      fmt::format("{}: the log-likelihood of {} texts is not finite; figures over them are -",
                  report.adapter ? "adapter" : "base", count));
}

}  // namespace

std::string report_json(std::span<const Report> reports) {
  if (reports.size() == 1) return print(to_json(reports.front()));
  auto list = ordered_json::array();
  for (const Report& report : reports) list.push_back(to_json(report));
  return print(list);
}

std::string report_table(std::span<const Report> reports) {
  Table table(reports);
  for (const Report& report : reports) {
    table.line(fmt::format("{:<8} {}{}", report.adapter ? "adapter" : "base", report.model,
                           report.adapter ? " + " + *report.adapter : ""));
  }
  add_counts(table, reports.front());
  for (const Report& report : reports) add_non_finite(table, report);
  table.line("");
  table.heading();
  table.row(
      "perplexity, toxic", [](const auto& c) { return c.toxic.perplexity; }, 2, true);
  table.row(
      "perplexity, neutral", [](const auto& c) { return c.neutral.perplexity; }, 2, true);
  table.row(
      "mean of texts, toxic", [](const auto& c) { return c.toxic.mean_text_perplexity; }, 2, true);
  table.row(
      "mean of texts, neutral", [](const auto& c) { return c.neutral.mean_text_perplexity; }, 2,
      true);
  table.row(
      "ratio toxic / neutral", [](const auto& c) { return c.ratio; }, 3, true);
  table.row(
      "separation", [](const auto& c) { return c.separation; }, 3, false);
  table.row(
      "p value (Mann-Whitney)", [](const auto& c) { return c.p_value; }, 6, false, "",
      shown_p_value);
  const bool has_ratios = reports.front().summary.all.ratio.has_value();
  if (has_ratios && reports.front().summary.groups.size() > 1) {
    table.line("\nratio by group");
    for (const auto& [name, comparison] : reports.front().summary.groups) {
      table.row(
          "  " + name, [](const auto& c) { return c.ratio; }, 3, true, name);
    }
  }
  return table.take();
}

}  // namespace cpx::evaluation
