// SPDX-License-Identifier: Apache-2.0
#include "interval_picture.h"

#include <algorithm>

#include <fmt/format.h>

#include "chart_scale.h"
#include "svg_chart.h"

namespace cpx::report {

namespace {

constexpr double kPictureWidth = 150;
constexpr double kRowHeight = 12;

ChartScale scale_of(std::span<const PicturedFigure> figures) {
  double low = figures.front().number;
  double high = low;
  for (const PicturedFigure& figure : figures) {
    low = std::min({low, figure.number, figure.interval ? figure.interval->low : figure.number});
    high = std::max({high, figure.number, figure.interval ? figure.interval->high : figure.number});
  }
  ChartScale scale = value_scale(low, high, /*is_logarithmic=*/false);
  scale.begin = 0.0;
  scale.end = kPictureWidth;
  return scale;
}

}  // namespace

void write_intervals(HtmlWriter& html, std::span<const PicturedFigure> figures) {
  if (figures.empty()) return;
  const ChartScale x = scale_of(figures);
  const double height = kRowHeight * static_cast<double>(figures.size());
  const HtmlWriter::Open svg =
      html.open("svg", {{"class", "intervals"},
                        {"viewBox", fmt::format("0 0 {} {}", kPictureWidth, height)},
                        {"width", fmt::format("{}", kPictureWidth)},
                        {"height", fmt::format("{}", height)},
                        {"aria-hidden", "true"}});
  double y = kRowHeight / 2;
  for (const PicturedFigure& figure : figures) {
    const std::string color = color_class(figure.run);
    if (figure.interval) {
      html.empty("path", {{"class", "line s0 " + color},
                          {"d", fmt::format("M{:.1f} {}H{:.1f}", x(figure.interval->low), y,
                                            x(figure.interval->high))}});
    }
    html.empty("circle", {{"class", "dot " + color},
                          {"cx", fmt::format("{:.1f}", x(figure.number))},
                          {"cy", fmt::format("{}", y)},
                          {"r", "3.5"}});
    y += kRowHeight;
  }
}

}  // namespace cpx::report
