// SPDX-License-Identifier: Apache-2.0
#include "svg_chart.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "chart_scale.h"
#include "numbers.h"

namespace cpx::report {

namespace {

constexpr int kMarksAcross = 6;
constexpr int kMarksUp = 5;
constexpr double kLetterHeight = 12;  // letters at the curves' ends do not overlap

std::string at(double place) { return fmt::format("{:.1f}", place); }

struct Extent {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

class ChartDrawing {
 public:
  ChartDrawing(HtmlWriter& html, const ChartPicture& picture) : html_(html), picture_(picture) {
    Extent steps;
    for (const ChartLine& line : picture.lines) {
      for (const CurvePoint& point : line.curve.points) steps.add(point.step);
    }
    x_ = {.low = steps.low, .high = steps.high};
    if (steps.low == steps.high) x_ = value_scale(steps.low, steps.high, false);
    x_.begin = size_.left;
    x_.end = size_.width - size_.right;
    const ShownValues values = shown_values(picture);
    y_ = value_scale(values.low, values.high, picture.is_logarithmic);
    y_.begin = size_.height - size_.bottom;
    y_.end = size_.top;
  }

  void draw() {
    draw_axes();
    draw_clip();
    {
      const HtmlWriter::Open curves =
          html_.open("g", {{"clip-path", fmt::format("url(#{}-clip)", picture_.id)}});
      for (const ChartLine& line : picture_.lines) draw_line(line);
    }
    draw_letters();
  }

 private:
  void draw_axes() {
    const HtmlWriter::Open group = html_.open("g", {{"class", "axes"}});
    for (const double value : round_values(y_, kMarksUp)) {
      const std::string y = at(y_(value));
      html_.empty("path", {{"class", "grid"},
                           {"d", fmt::format("M{} {}H{}", at(x_.begin), y, at(x_.end))}});
      html_.leaf("text", fmt::format("{:g}", value),
                 {{"class", "up"}, {"x", at(x_.begin - 6)}, {"y", at(y_(value) + 4)}});
    }
    for (const double step : round_values(x_, kMarksAcross)) {
      if (step < x_.low || step > x_.high) continue;
      html_.leaf("text", shown(step),
                 {{"class", "across"}, {"x", at(x_(step))}, {"y", at(y_.begin + 16)}});
    }
    html_.empty("path", {{"class", "base"},
                         {"d", fmt::format("M{} {}H{}", at(x_.begin), at(y_.begin), at(x_.end))}});
    html_.leaf(
        "text", "step",
        {{"class", "across"}, {"x", at((x_.begin + x_.end) / 2)}, {"y", at(size_.height - 4)}});
  }

  // Curves end at the edge of the plot, but for half of a line's width.
  void draw_clip() {
    constexpr double kEdge = 4;
    const HtmlWriter::Open clip = html_.open("clipPath", {{"id", picture_.id + "-clip"}});
    html_.empty("rect", {{"x", at(x_.begin)},
                         {"y", at(y_.end - kEdge)},
                         {"width", at(x_.end - x_.begin)},
                         {"height", at(y_.begin - y_.end + 2 * kEdge)}});
  }

  template <class Value>
  std::string path_of(const std::vector<CurvePoint>& points, const Value& value) const {
    std::string path;
    for (size_t i = 0; i < points.size(); ++i) {
      path += fmt::format("{}{} {}", i == 0 ? "M" : "L", at(x_(points[i].step)), at(y_(value(i))));
    }
    return path;
  }

  std::string band_of(const std::vector<CurvePoint>& points) const {
    std::string path = path_of(points, [&](size_t i) { return points[i].high; });
    for (size_t i = points.size(); i-- > 0;) {
      path += fmt::format("L{} {}", at(x_(points[i].step)), at(y_(points[i].low)));
    }
    return path + "Z";
  }

  void draw_line(const ChartLine& line) {
    const std::vector<CurvePoint>& points = line.curve.points;
    const std::string classes = classes_of(line);
    if (line.curve.values_per_point > 1) {
      html_.empty("path", {{"class", "band " + classes}, {"d", band_of(points)}});
    }
    const bool is_smoothed = !line.curve.smooth.empty();
    html_.empty("path", {{"class", (is_smoothed ? "thin " : "line ") + classes},
                         {"d", path_of(points, [&](size_t i) { return points[i].mean; })}});
    if (is_smoothed) {
      html_.empty("path", {{"class", "line " + classes},
                           {"d", path_of(points, [&](size_t i) { return line.curve.smooth[i]; })}});
      return;
    }
    constexpr size_t kFewPoints = 40;
    if (points.size() > kFewPoints) return;
    for (const CurvePoint& point : points) {
      html_.empty("circle", {{"class", "dot " + classes},
                             {"cx", at(x_(point.step))},
                             {"cy", at(y_(point.mean))},
                             {"r", "2.5"}});
    }
  }

  void draw_letters() {
    struct Letter {
      const ChartLine* line;
      double x;
      double y;
    };
    std::vector<Letter> letters;
    for (const ChartLine& line : picture_.lines) {
      if (line.letter.empty() || line.curve.points.empty()) continue;
      const double value =
          line.curve.smooth.empty() ? line.curve.points.back().mean : line.curve.smooth.back();
      letters.push_back({&line, x_(line.curve.points.back().step) + 5, y_(value) + 4});
    }
    std::ranges::stable_sort(letters, {}, &Letter::y);
    for (size_t i = 1; i < letters.size(); ++i) {
      letters[i].y = std::max(letters[i].y, letters[i - 1].y + kLetterHeight);
    }
    double limit = y_.begin;
    for (auto letter = letters.rbegin(); letter != letters.rend(); ++letter) {
      letter->y = std::min(letter->y, limit);
      limit = letter->y - kLetterHeight;
    }
    for (const Letter& letter : letters) {
      html_.leaf("text", letter.line->letter,
                 {{"class", "letter " + classes_of(*letter.line)},
                  {"x", at(letter.x)},
                  {"y", at(letter.y)}});
    }
  }

  HtmlWriter& html_;
  const ChartPicture& picture_;
  ChartSize size_;
  ChartScale x_;
  ChartScale y_;
};

}  // namespace

ShownValues shown_values(const ChartPicture& picture) {
  constexpr double kShareOutside = 0.02;
  constexpr double kRoom = 0.25;
  Extent all, inner;
  std::vector<double> means;
  bool is_smoothed = false;
  for (const ChartLine& line : picture.lines) {
    for (const CurvePoint& point : line.curve.points) {
      all.add(point.low);
      all.add(point.high);
      means.push_back(point.mean);
    }
    for (const double value : line.curve.smooth) inner.add(value);
    is_smoothed = is_smoothed || !line.curve.smooth.empty();
  }
  ShownValues shown_range{.low = all.low, .high = all.high, .lowest = all.low, .highest = all.high};
  if (!is_smoothed || (picture.is_logarithmic && all.low > 0.0)) return shown_range;
  std::ranges::sort(means);
  const auto num_outside = static_cast<size_t>(kShareOutside * static_cast<double>(means.size()));
  inner.add(means[num_outside]);
  inner.add(means[means.size() - 1 - num_outside]);
  const double room = kRoom * (inner.high - inner.low);
  shown_range.low = std::max(all.low, inner.low - room);
  shown_range.high = std::min(all.high, inner.high + room);
  for (const ChartLine& line : picture.lines) {
    shown_range.num_outside +=
        std::ranges::count_if(line.curve.points, [&](const CurvePoint& point) {
          return point.low < shown_range.low || point.high > shown_range.high;
        });
  }
  return shown_range;
}

std::string color_class(int run) {
  return run < 0 ? "plain" : fmt::format("r{}", run % kNumColors);
}

std::string classes_of(const ChartLine& line) {
  return fmt::format("{} s{}", color_class(line.run), line.style);
}

void write_svg(HtmlWriter& html, const ChartPicture& picture) {
  const ChartSize size;
  const HtmlWriter::Open svg =
      html.open("svg", {{"viewBox", fmt::format("0 0 {} {}", size.width, size.height)},
                        {"role", "img"},
                        {"id", picture.id},
                        {"aria-labelledby", fmt::format("{0}-title {0}-desc", picture.id)}});
  html.leaf("title", picture.title, {{"id", picture.id + "-title"}});
  html.leaf("desc", picture.description, {{"id", picture.id + "-desc"}});
  const HtmlWriter::Open plot = html.open("g", {{"class", "plot"}});
  ChartDrawing(html, picture).draw();
}

void write_swatch(HtmlWriter& html, int run, int style) {
  const HtmlWriter::Open svg =
      html.open("svg", {{"class", "swatch"}, {"viewBox", "0 0 28 10"}, {"aria-hidden", "true"}});
  html.empty("path",
             {{"class", fmt::format("line {} s{}", color_class(run), style)}, {"d", "M1 5H27"}});
}

}  // namespace cpx::report
