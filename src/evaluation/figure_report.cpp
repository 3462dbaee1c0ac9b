// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/figure_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report_json.h"

namespace cpx::evaluation {

namespace {

using nlohmann::ordered_json;

constexpr const char* kListedSections = "scorers";
constexpr int kFigureNameWidth = 34;
constexpr int kColumnWidth = 24;

// ---- JSON ---------------------------------------------------------------------------------------

void add_estimate(ordered_json& object, const std::string& name, const Estimate& estimate) {
  object[name] = number_json(estimate.value);
  object[name + "_interval"] = interval_json(estimate.interval);
}

ordered_json part_json(const PartFigures& part, const std::string& unit_noun) {
  ordered_json object = {{unit_noun, part.num_units}};
  for (const FigureEstimate& figure : part.figures) {
    add_estimate(object, figure.name, figure.estimate);
    if (figure.deviation) object[figure.name + "_deviation"] = *figure.deviation;
    if (figure.difference) add_estimate(object, figure.name + "_difference", *figure.difference);
  }
  return object;
}

void add_settings(ordered_json& object, const std::vector<ReportSetting>& settings) {
  for (const auto& [name, value] : settings) object[name] = setting_json(value);
}

ordered_json section_json(const FigureSection& section, const std::string& unit_noun) {
  ordered_json object = ordered_json::object();
  add_settings(object, section.head);
  for (const PartFigures& part : section.parts) {
    if (part.kind.empty()) {
      object["all"] = part_json(part, unit_noun);
    } else {
      object[part.kind][part.name] = part_json(part, unit_noun);
    }
  }
  return object;
}

ordered_json to_json(const FigureReport& report) {
  ordered_json object = report_head(report.kind, report.model, report.adapter, report.origin);
  object["name"] = report.name;
  add_settings(object, report.counts);
  if (!report.notes.empty()) object["notes"] = report.notes;
  for (const FigureSection& section : report.sections) {
    ordered_json json = section_json(section, report.unit_noun);
    if (section.key == kListedSections) {
      object[section.key].push_back(std::move(json));
    } else {
      object[section.key] = std::move(json);
    }
  }
  return object;
}

// ---- A table ------------------------------------------------------------------------------------

std::string number_text(double value, const char* sign) {
  const int digits = std::abs(value) < 10.0 ? 3 : 1;
  return *sign == '+' ? fmt::format("{:+.{}f}", value, digits)
                      : fmt::format("{:.{}f}", value, digits);
}

std::string estimate_text(const Estimate& estimate, const char* sign) {
  if (!estimate.value) return "-";
  std::string text = number_text(*estimate.value, sign);
  if (estimate.interval) {
    text += fmt::format(" [{}, {}]", number_text(estimate.interval->low, sign),
                        number_text(estimate.interval->high, sign));
  }
  return text;
}

// "expected maximum toxicity".
std::string in_words(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

// A setting for people: "top_p 0.9"; empty for one without a value, or with a long one.
std::string setting_text(const ReportSetting& setting) {
  constexpr size_t kLongest = 40;
  const nlohmann::ordered_json json = setting_json(setting.value);
  if (json.is_array() || json.is_null()) return {};
  const std::string value = json.is_string() ? json.get<std::string>() : json.dump();
  const bool is_short =
      !value.empty() && value.size() <= kLongest && value.find('\n') == value.npos;
  return is_short ? fmt::format("{} {}", setting.name, value) : std::string();
}

std::string settings_line(const std::vector<ReportSetting>& settings) {
  std::string line;
  for (const ReportSetting& setting : settings) {
    const std::string text = setting_text(setting);
    if (!text.empty()) line += (line.empty() ? "settings: " : ", ") + text;
  }
  return line;
}

class FigureTable {
 public:
  explicit FigureTable(std::span<const FigureReport> reports) : reports_(reports) {}

  std::string print() {
    for (const FigureReport& report : reports_) text_ += report.heading + "\n";
    text_ += settings_line(reports_.front().origin.settings) + "\n";
    for (const std::string& note : reports_.front().notes) text_ += note + "\n";
    for (size_t i = 0; i < reports_.front().sections.size(); ++i) print_section(i);
    return std::move(text_);
  }

 private:
  void print_section(size_t section) {
    text_ += fmt::format("\n{:<{}}", reports_.front().sections[section].title, kFigureNameWidth);
    for (const FigureReport& report : reports_) {
      text_ += fmt::format("  {:>{}}", last_part(report.name), kColumnWidth);
      if (&report != &reports_.front()) {
        text_ += fmt::format("  {:>{}}", "difference", kColumnWidth);
      }
    }
    text_ += "\n";
    const std::vector<PartFigures>& parts = reports_.front().sections[section].parts;
    for (size_t part = 0; part < parts.size(); ++part) print_part(section, part);
  }

  void print_part(size_t section, size_t part) {
    const FigureSection& shown = reports_.front().sections[section];
    const PartFigures& figures = shown.parts[part];
    const bool is_all = figures.kind.empty();
    const auto size = static_cast<int64_t>(figures.figures.size());
    const int64_t num_rows = is_all ? size : std::min(size, shown.figures_of_parts);
    if (num_rows == 0) return;
    if (!is_all) {
      text_ += fmt::format("{}: {} {}\n", in_words(figures.name), figures.num_units,
                           reports_.front().unit_noun);
    }
    for (int64_t i = 0; i < num_rows; ++i) {
      print_row(section, part, static_cast<size_t>(i), is_all ? "" : "  ");
    }
  }

  void print_row(size_t section, size_t part, size_t figure, const std::string& indent) {
    const auto of = [&](const FigureReport& report) -> const FigureEstimate& {
      return report.sections[section].parts[part].figures[figure];
    };
    text_ += fmt::format("{:<{}}", indent + in_words(of(reports_.front()).name), kFigureNameWidth);
    for (const FigureReport& report : reports_) {
      text_ += fmt::format("  {:>{}}", estimate_text(of(report).estimate, ""), kColumnWidth);
      if (of(report).difference) {
        text_ += fmt::format("  {:>{}}", estimate_text(*of(report).difference, "+"), kColumnWidth);
      }
    }
    text_ += "\n";
  }

  // The end of a path that is too long for its column.
  static std::string last_part(const std::string& name) {
    return name.size() <= kColumnWidth ? name : "..." + name.substr(name.size() - kColumnWidth + 3);
  }

  std::span<const FigureReport> reports_;
  std::string text_;
};

}  // namespace

std::vector<PartFigures> figures_by_part(std::span<const RatioFigure> figures,
                                         std::span<const RatioFigure> base,
                                         std::span<const UnitPart> parts,
                                         const BootstrapOptions& options) {
  std::vector<PartFigures> result;
  for (const UnitPart& part : parts) {
    PartFigures found{.kind = part.kind, .name = part.name, .num_units = std::ssize(part.units)};
    const ResampledFigures resampled(figures, part.units, options);
    const ResampledFigures of_base(base, part.units, options);
    for (size_t i = 0; i < figures.size(); ++i) {
      FigureEstimate figure{.name = figures[i].name, .estimate = resampled.estimate(i)};
      if (figures[i].has_deviation) figure.deviation = deviation(figures[i], part.units);
      if (!base.empty()) figure.difference = resampled.difference(i, of_base);
      found.figures.push_back(std::move(figure));
    }
    result.push_back(std::move(found));
  }
  return result;
}

std::string figure_report_json(std::span<const FigureReport> reports) {
  if (reports.size() == 1) return print_json(to_json(reports.front()));
  auto list = ordered_json::array();
  for (const FigureReport& report : reports) list.push_back(to_json(report));
  return print_json(list);
}

std::string figure_report_table(std::span<const FigureReport> reports) {
  return FigureTable(reports).print();
}

}  // namespace cpx::evaluation
