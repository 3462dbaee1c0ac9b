// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/json.h"
#include "cpx/core/text.h"
#include "metric_charts.h"
#include "numbers.h"
#include "sections.h"
#include "svg_chart.h"

namespace cpx::report {

namespace {

constexpr int64_t kDrawnPoints = 300;     // of a curve in the picture
constexpr int64_t kScriptPoints = 24000;  // of all curves together, for zooming
constexpr int64_t kFewestScriptPoints = 100;
constexpr int64_t kMostScriptPoints = 2000;
constexpr size_t kTableRows = 40;

// A curve with the series from which it was made.
struct SourcedLine {
  ChartLine line;
  const MetricSeries* series;
};

std::string line_name(const PageContent& content, size_t run, const ChartKey& key) {
  const bool has_runs = content.runs.size() > 1;
  if (key.title.empty()) return has_runs ? letter_of(run) : content.runs[run].name;
  return has_runs ? letter_of(run) + ", " + key.title : key.title;
}

std::vector<SourcedLine> lines_of(const PageContent& content, const MetricChart& chart) {
  std::vector<SourcedLine> lines;
  for (size_t run = 0; run < content.runs.size(); ++run) {
    for (size_t k = 0; k < chart.keys.size(); ++k) {
      const MetricSeries* const series = content.runs[run].find_series(chart.keys[k].key);
      if (series == nullptr) continue;
      const bool has_runs = content.runs.size() > 1;
      lines.push_back(
          {.line = {.run = static_cast<int>(has_runs ? run : k),
                    .style = static_cast<int>(k),
                    .name = line_name(content, run, chart.keys[k]),
                    .letter = has_runs ? letter_of(run) : "",
                    .curve = curve_of(*series, {.max_points = kDrawnPoints,
                                                .is_smoothed = !is_evaluation_key(series->key)})},
           .series = series});
    }
  }
  return lines;
}

// ---- The table of the numbers -------------------------------------------------------------------

// Steps first to last.
struct StepRange {
  int64_t first;
  int64_t last;
};

// All steps of the lines, in at most kTableRows ranges.
std::vector<StepRange> ranges_of(const std::vector<SourcedLine>& lines) {
  std::set<int64_t> unique;
  for (const SourcedLine& one : lines) {
    unique.insert(one.series->steps.begin(), one.series->steps.end());
  }
  const std::vector<int64_t> steps(unique.begin(), unique.end());
  const size_t size = (steps.size() + kTableRows - 1) / kTableRows;
  std::vector<StepRange> ranges;
  for (size_t i = 0; i < steps.size(); i += size) {
    ranges.push_back({steps[i], steps[std::min(i + size, steps.size()) - 1]});
  }
  return ranges;
}

std::string range_text(const MetricSeries& series, const StepRange& range) {
  const auto begin = std::ranges::lower_bound(series.steps, range.first) - series.steps.begin();
  const auto end = std::ranges::upper_bound(series.steps, range.last) - series.steps.begin();
  if (begin == end) return "";
  double sum = 0.0;
  for (auto i = begin; i < end; ++i) sum += series.values[static_cast<size_t>(i)];
  const std::string mean = shown(sum / static_cast<double>(end - begin));
  if (end - begin == 1) return mean;
  const auto [low, high] =
      std::minmax_element(series.values.begin() + begin, series.values.begin() + end);
  return fmt::format("{} ({} to {})", mean, shown(*low), shown(*high));
}

void write_numbers(HtmlWriter& html, const MetricChart& chart,
                   const std::vector<SourcedLine>& lines) {
  const std::vector<StepRange> ranges = ranges_of(lines);
  const bool is_mean =
      std::ranges::any_of(ranges, [](const StepRange& one) { return one.first != one.last; });
  const HtmlWriter::Open details = html.open("details");
  html.leaf("summary", "Numbers");
  const HtmlWriter::Open scroll = html.open("div", {{"class", "scroll"}});
  const HtmlWriter::Open table = html.open("table", {{"class", "figures"}});
  html.leaf(
      "caption",
      chart.title + (is_mean ? ": the mean of these steps (their least to their greatest)" : ""));
  {
    const HtmlWriter::Open head = html.open("thead");
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th", is_mean ? "steps" : "step", {{"scope", "col"}});
    for (const SourcedLine& one : lines) {
      html.leaf("th", one.line.name, {{"scope", "col"}, {"class", "value"}});
    }
  }
  const HtmlWriter::Open body = html.open("tbody");
  for (const StepRange& range : ranges) {
    const HtmlWriter::Open row = html.open("tr");
    html.leaf("th",
              range.first == range.last ? fmt::format("{}", range.first)
                                        : fmt::format("{} to {}", range.first, range.last),
              {{"scope", "row"}});
    for (const SourcedLine& one : lines) html.leaf("td", range_text(*one.series, range));
  }
}

// ---- Words about a chart ------------------------------------------------------------------------

std::string description_of(const MetricChart& chart, const std::vector<SourcedLine>& lines) {
  std::string text = fmt::format("{} by step.", chart.title);
  for (const SourcedLine& one : lines) {
    const Curve& curve = one.line.curve;
    const double begin = curve.smooth.empty() ? curve.points.front().mean : curve.smooth.front();
    const double end = curve.smooth.empty() ? curve.points.back().mean : curve.smooth.back();
    text += fmt::format(" {}: from {} at step {} to {} at step {}.", one.line.name, shown(begin),
                        one.series->steps.front(), shown(end), one.series->steps.back());
  }
  return text;
}

// What a point and the thick line stand for; empty where each value is drawn as it is.
std::string thinning_of(const std::vector<SourcedLine>& lines) {
  const auto longest = std::ranges::max_element(
      lines, {}, [](const SourcedLine& one) { return one.series->values.size(); });
  const Curve& curve = longest->line.curve;
  std::string text;
  if (curve.values_per_point > 1) {
    text = fmt::format(
        "{} values were thinned: a point is the mean of {}, the band reaches from their least to "
        "their greatest.",
        longest->series->values.size(), curve.values_per_point);
  }
  if (!curve.smooth.empty()) {
    text += fmt::format("{}Thick: mean over {} steps. Thin: {}.", text.empty() ? "" : " ",
                        curve.points_per_mean * curve.values_per_point,
                        curve.values_per_point > 1 ? "the points" : "each step");
  }
  return text;
}

// What the picture leaves out.
std::string outside_of(const ChartPicture& picture) {
  const ShownValues values = shown_values(picture);
  if (values.num_outside == 0) return "";
  return fmt::format(" {} beyond the picture; all values lie from {} to {}.",
                     counted(values.num_outside, "point reaches", "points reach"),
                     shown(values.lowest), shown(values.highest));
}

void write_key_legend(HtmlWriter& html, const PageContent& content, const MetricChart& chart) {
  if (chart.keys.size() < 2) return;
  const HtmlWriter::Open legend = html.open("p", {{"class", "legend"}});
  for (size_t k = 0; k < chart.keys.size(); ++k) {
    const HtmlWriter::Open one = html.open("span");
    write_swatch(html, content.runs.size() > 1 ? -1 : static_cast<int>(k), static_cast<int>(k));
    html.text(chart.keys[k].title);
  }
}

// ---- What the script draws ----------------------------------------------------------------------

class ScriptData {
 public:
  explicit ScriptData(int64_t num_lines)
      : max_points_(std::clamp(kScriptPoints / std::max<int64_t>(num_lines, 1), kFewestScriptPoints,
                               kMostScriptPoints)) {}

  void add(const MetricChart& chart, const std::vector<SourcedLine>& lines) {
    std::vector<std::string> items;
    for (const SourcedLine& one : lines) items.push_back(line_json(one));
    charts_.push_back(
        fmt::format(R"({{"log":{},"lines":{}}})", chart.is_logarithmic, json_list(items)));
  }

  std::string json(const PageContent& content) const {
    const ChartSize size;
    std::vector<std::string> runs;
    for (const RunRecord& run : content.runs) runs.push_back(json_of(run.name));
    return fmt::format(
        R"({{"size":[{},{},{},{},{},{}],"colors":{},"runs":{},"steps":{},"charts":{}}})",
        size.width, size.height, size.left, size.right, size.top, size.bottom, kNumColors,
        json_list(runs), json_list(steps_), json_list(charts_));
  }

 private:
  template <class Value>
  static std::string numbers(const std::vector<CurvePoint>& points, const Value& value,
                             int digits = 5) {
    std::vector<std::string> texts;
    for (const CurvePoint& point : points) texts.push_back(compact(value(point), digits));
    return fmt::format("[{}]", fmt::join(texts, ","));
  }

  // The number of this list of steps; runs and keys mostly have the same.
  size_t steps_of(const std::vector<CurvePoint>& points) {
    const std::string list = numbers(
        points, [](const CurvePoint& point) { return point.step; }, 9);
    const auto [found, is_new] = numbers_of_steps_.emplace(list, steps_.size());
    if (is_new) steps_.push_back(list);
    return found->second;
  }

  std::string line_json(const SourcedLine& one) {
    const bool is_smoothed = !is_evaluation_key(one.series->key);
    const Curve curve =
        curve_of(*one.series, {.max_points = max_points_, .is_smoothed = is_smoothed});
    std::string json = fmt::format(
        R"({{"run":{},"style":{},"name":{},"letter":{},"window":{},"steps":{},"mean":{})",
        one.line.run, one.line.style, json_of(one.line.name), json_of(one.line.letter),
        curve.smooth.empty() ? 1 : curve.points_per_mean, steps_of(curve.points),
        numbers(curve.points, [](const CurvePoint& point) { return point.mean; }));
    if (curve.values_per_point > 1) {
      json +=
          fmt::format(R"(,"low":{},"high":{})",
                      numbers(curve.points, [](const CurvePoint& point) { return point.low; }),
                      numbers(curve.points, [](const CurvePoint& point) { return point.high; }));
    }
    return json + "}";
  }

  int64_t max_points_;
  std::vector<std::string> steps_;
  std::map<std::string, size_t> numbers_of_steps_;
  std::vector<std::string> charts_;
};

// ---- The section --------------------------------------------------------------------------------

void write_chart(HtmlWriter& html, const PageContent& content, const MetricChart& chart,
                 const std::vector<SourcedLine>& lines, size_t number) {
  const std::string id = fmt::format("chart-{}", number);
  const HtmlWriter::Open figure =
      html.open("figure", {{"class", "chart"}, {"data-chart", std::to_string(number)}});
  {
    const HtmlWriter::Open caption = html.open("figcaption");
    {
      const HtmlWriter::Open title = html.open("h3");
      html.text(chart.title);
      if (!chart.unit.empty()) html.leaf("small", chart.unit);
    }
    if (!chart.explanation.empty()) html.leaf("p", chart.explanation);
    write_key_legend(html, content, chart);
  }
  ChartPicture picture{.id = id,
                       .title = chart.title,
                       .description = description_of(chart, lines),
                       .is_logarithmic = chart.is_logarithmic,
                       .lines = {}};
  for (const SourcedLine& one : lines) picture.lines.push_back(one.line);
  write_svg(html, picture);
  const std::string remarks = thinning_of(lines) + outside_of(picture);
  if (!remarks.empty()) html.leaf("p", remarks, {{"class", "fine"}});
  write_numbers(html, chart, lines);
}

void write_constants(HtmlWriter& html, const PageContent& content) {
  const std::vector<NamedText> constants = constant_keys(content.runs);
  if (constants.empty()) return;
  std::vector<std::string> texts;
  for (const NamedText& one : constants) texts.push_back(fmt::format("{}: {}", one.name, one.text));
  html.leaf("p", fmt::format("The same at every step: {}.", fmt::join(texts, ", ")),
            {{"class", "fine"}});
}

void write_zoom_buttons(HtmlWriter& html) {
  const HtmlWriter::Open bar = html.open(
      "p",
      {{"class", "zoom needs-script"}, {"role", "group"}, {"aria-label", "Zoom of all charts"}});
  constexpr std::pair<const char*, const char*> kButtons[] = {
      {"in", "Zoom in"},  {"out", "Zoom out"},  {"left", "Earlier"},
      {"right", "Later"}, {"all", "All steps"}, {"log", "Logarithmic"}};
  for (const auto& [name, title] : kButtons) {
    html.leaf("button", title, {{"type", "button"}, {"data-zoom", name}});
  }
  html.leaf("span", "or drag over a chart; a double click shows all steps again.");
}

}  // namespace

std::string write_curves(HtmlWriter& html, const PageContent& content) {
  const std::vector<MetricChart> charts = charts_of(content.runs);
  if (charts.empty() && constant_keys(content.runs).empty()) return "";
  std::vector<std::vector<SourcedLine>> lines;
  int64_t num_lines = 0;
  for (const MetricChart& chart : charts) {
    lines.push_back(lines_of(content, chart));
    num_lines += std::ssize(lines.back());
  }
  ScriptData data(num_lines);
  const HtmlWriter::Open section = html.open("section", {{"id", "curves"}});
  html.leaf("h2", "Curves");
  if (!charts.empty()) write_zoom_buttons(html);
  {
    const HtmlWriter::Open grid = html.open("div", {{"class", "charts"}});
    for (size_t i = 0; i < charts.size(); ++i) {
      write_chart(html, content, charts[i], lines[i], i);
      data.add(charts[i], lines[i]);
    }
  }
  write_constants(html, content);
  return data.json(content);
}

}  // namespace cpx::report
