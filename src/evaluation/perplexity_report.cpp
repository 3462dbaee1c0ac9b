// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/perplexity_report.h"

#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "text_table.h"

namespace cpx::evaluation {

namespace {

using Json = nlohmann::ordered_json;
using Number = std::optional<double>;
using Row = std::vector<std::string>;
using objectives::SideComparison;
using objectives::SideSummary;

/// How much `after` is more than `before`, in percent.
Number change_percent(const Number& before, const Number& after) {
  if (!before || !after || *before == 0.0) return std::nullopt;
  return 100.0 * (*after / *before - 1.0);
}

// ---- JSON ---------------------------------------------------------------------------------------

Json to_json(const Number& number) { return number ? Json(*number) : Json(nullptr); }

Json side_json(const SideSummary& side) {
  Json json = {{"texts", side.texts},
               {"tokens", side.tokens},
               {"perplexity", to_json(side.perplexity)},
               {"mean_text_perplexity", to_json(side.mean_text_perplexity)},
               {"skipped", side.skipped}};
  if (side.non_finite > 0) json["non_finite"] = side.non_finite;
  return json;
}

void add_comparison(const SideComparison& comparison, Json& json) {
  json["sides"] = {{"toxic", side_json(comparison.toxic)},
                   {"neutral", side_json(comparison.neutral)}};
  json["ratio"] = to_json(comparison.ratio);
  json["separation"] = to_json(comparison.separation);
  json["p_value"] = to_json(comparison.p_value);
}

Json report_object(const PerplexityReport& report) {
  Json json = {{"model", report.model},
               {"adapter", report.adapter.empty() ? Json(nullptr) : Json(report.adapter)}};
  if (report.is_published) json["mode"] = "published";
  add_comparison(report.summary.all, json);
  json["groups"] = Json::object();
  for (const auto& [name, comparison] : report.summary.groups) {
    add_comparison(comparison, json["groups"][name]);
  }
  return json;
}

/// Paths may hold any bytes; those that are not UTF-8 are replaced.
std::string print(const Json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

// ---- Cells --------------------------------------------------------------------------------------

constexpr const char* kNone = "-";

std::string perplexity_cell(const Number& number) {
  if (!number) return kNone;
  return *number < 1e6 ? fmt::format("{:.3f}", *number) : fmt::format("{:.4g}", *number);
}

std::string ratio_cell(const Number& number) {
  if (!number) return kNone;
  return *number < 1e6 ? fmt::format("{:.4f}", *number) : fmt::format("{:.4g}", *number);
}

std::string p_value_cell(const Number& number) {
  return number ? fmt::format("{:.3g}", *number) : kNone;
}

std::string percent_cell(const Number& number) {
  if (!number) return kNone;
  return *number < 1e6 ? fmt::format("{:+.1f}%", *number) : fmt::format("{:+.3g}%", *number);
}

std::string column_name(const PerplexityReport& report) {
  return report.adapter.empty() ? "base" : report.adapter;
}

// ---- Tables -------------------------------------------------------------------------------------

std::string header_lines(const PerplexityReport& report) {
  std::string lines = fmt::format("model    {}\n", report.model);
  if (report.is_published) {
    lines += "mode     published: texts joined by blank lines, every window weighs the same\n";
  }
  return lines;
}

Row side_row(const std::string& name, const SideSummary& side) {
  return {name,
          std::to_string(side.texts),
          std::to_string(side.tokens),
          std::to_string(side.skipped),
          perplexity_cell(side.perplexity),
          perplexity_cell(side.mean_text_perplexity)};
}

std::string sides_table(const SideComparison& all) {
  return align_columns({{"side", "texts", "tokens", "skipped", "perplexity", "mean of texts"},
                        side_row("toxic", all.toxic),
                        side_row("neutral", all.neutral)});
}

std::string figures_table(const SideComparison& all) {
  return fmt::format(
      "ratio       {}  (toxic over neutral perplexity)\n"
      "separation  {}  (chance that a toxic text is less probable than a neutral one)\n"
      "p-value     {}  (two-sided Mann-Whitney)\n",
      ratio_cell(all.ratio), ratio_cell(all.separation), p_value_cell(all.p_value));
}

std::string groups_table(const objectives::PerplexitySummary& summary) {
  if (summary.groups.empty()) return {};
  std::vector<Row> rows = {{"group", "toxic", "neutral", "ratio", "separation", "p-value"}};
  for (const auto& [name, group] : summary.groups) {
    rows.push_back({name, perplexity_cell(group.toxic.perplexity),
                    perplexity_cell(group.neutral.perplexity), ratio_cell(group.ratio),
                    ratio_cell(group.separation), p_value_cell(group.p_value)});
  }
  return "\n" + align_columns(rows);
}

std::string non_finite_note(const PerplexityReport& report) {
  const SideComparison& all = report.summary.all;
  const int64_t count = all.toxic.non_finite + all.neutral.non_finite;
  if (count == 0) return {};
  return fmt::format("\n{}: the NLL of {} texts is no finite number.\n", column_name(report),
                     count);
}

/// How many texts and tokens stand behind the figures.
std::string counts_lines(const SideComparison& all) {
  const auto counts = [](const SideSummary& side) {
    return fmt::format("{} texts, {} tokens, {} skipped", side.texts, side.tokens, side.skipped);
  };
  return fmt::format("toxic    {}\nneutral  {}\n", counts(all.toxic), counts(all.neutral));
}

Row compared_row(const std::string& name, const Number& baseline, const Number& compared,
                 std::string (*cell)(const Number& number)) {
  return {name, cell(baseline), cell(compared), percent_cell(change_percent(baseline, compared))};
}

std::string compared_figures(const PerplexityReport& baseline, const PerplexityReport& compared) {
  const SideComparison& a = baseline.summary.all;
  const SideComparison& b = compared.summary.all;
  return align_columns(
      {{"", column_name(baseline), column_name(compared), "change"},
       compared_row("toxic perplexity", a.toxic.perplexity, b.toxic.perplexity, perplexity_cell),
       compared_row("neutral perplexity", a.neutral.perplexity, b.neutral.perplexity,
                    perplexity_cell),
       compared_row("toxic mean of texts", a.toxic.mean_text_perplexity,
                    b.toxic.mean_text_perplexity, perplexity_cell),
       compared_row("neutral mean of texts", a.neutral.mean_text_perplexity,
                    b.neutral.mean_text_perplexity, perplexity_cell),
       compared_row("ratio", a.ratio, b.ratio, ratio_cell),
       compared_row("separation", a.separation, b.separation, ratio_cell),
       {"p-value", p_value_cell(a.p_value), p_value_cell(b.p_value)}});
}

Row compared_group(const std::string& name, const SideComparison& a, const SideComparison& b) {
  return {name,
          perplexity_cell(a.toxic.perplexity),
          perplexity_cell(b.toxic.perplexity),
          percent_cell(change_percent(a.toxic.perplexity, b.toxic.perplexity)),
          perplexity_cell(a.neutral.perplexity),
          perplexity_cell(b.neutral.perplexity),
          percent_cell(change_percent(a.neutral.perplexity, b.neutral.perplexity)),
          ratio_cell(a.ratio),
          ratio_cell(b.ratio)};
}

/// The groups, each figure as "of the baseline, of the compared"; those that both reports have.
std::string compared_groups(const PerplexityReport& baseline, const PerplexityReport& compared) {
  std::vector<Row> rows = {
      {"group", "toxic", "then", "change", "neutral", "then", "change", "ratio", "then"}};
  for (const auto& [name, group] : baseline.summary.groups) {
    const auto found = compared.summary.groups.find(name);
    if (found != compared.summary.groups.end()) {
      rows.push_back(compared_group(name, group, found->second));
    }
  }
  return rows.size() > 1 ? "\n" + align_columns(rows) : "";
}

}  // namespace

std::string report_json(const PerplexityReport& report) { return print(report_object(report)); }

std::string report_table(const PerplexityReport& report) {
  const SideComparison& all = report.summary.all;
  return header_lines(report) +
         fmt::format("adapter  {}\n\n", report.adapter.empty() ? "none" : report.adapter) +
         sides_table(all) + "\n" + figures_table(all) + groups_table(report.summary) +
         non_finite_note(report);
}

std::string comparison_json(const PerplexityReport& baseline, const PerplexityReport& compared) {
  const SideComparison& a = baseline.summary.all;
  const SideComparison& b = compared.summary.all;
  Json json;
  json["baseline"] = report_object(baseline);
  json["compared"] = report_object(compared);
  json["change_percent"] = {
      {"toxic", to_json(change_percent(a.toxic.perplexity, b.toxic.perplexity))},
      {"neutral", to_json(change_percent(a.neutral.perplexity, b.neutral.perplexity))},
      {"ratio", to_json(change_percent(a.ratio, b.ratio))}};
  return print(json);
}

std::string comparison_table(const PerplexityReport& baseline, const PerplexityReport& compared) {
  return header_lines(baseline) + counts_lines(baseline.summary.all) + "\n" +
         compared_figures(baseline, compared) + compared_groups(baseline, compared) +
         non_finite_note(baseline) + non_finite_note(compared);
}

}  // namespace cpx::evaluation
