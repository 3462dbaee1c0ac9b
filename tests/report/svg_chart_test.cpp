// SPDX-License-Identifier: Apache-2.0
#include "src/report/svg_chart.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "src/report/chart_scale.h"

namespace cpx::report {
namespace svg_chart_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ChartPicture picture_of(const std::vector<double>& values) {
  MetricSeries series{.key = "loss", .steps = {}, .values = values};
  for (size_t i = 0; i < values.size(); ++i) series.steps.push_back(static_cast<int64_t>(i) + 1);
  return {.id = "chart-0",
          .title = "Loss <of> a run",
          .description = "Loss by step.",
          .lines = {{.name = "run", .letter = "A", .curve = curve_of(series, {})}}};
}

std::string svg_of(const ChartPicture& picture) {
  HtmlWriter html;
  write_svg(html, picture);
  return html.take();
}

TEST(SvgChart, NamesAndDescribesItself) {
  const std::string svg = svg_of(picture_of({1.0, 3.0, 2.0}));
  EXPECT_THAT(svg, HasSubstr("role=\"img\" id=\"chart-0\" "
                             "aria-labelledby=\"chart-0-title chart-0-desc\""));
  EXPECT_THAT(svg, HasSubstr("<title id=\"chart-0-title\">Loss &lt;of&gt; a run</title>"));
  EXPECT_THAT(svg, HasSubstr("<desc id=\"chart-0-desc\">Loss by step.</desc>"));
}

// The plot reaches from 60 to 640 - 26 = 614 across, and from 264 up to 10; values from 1 to 3 have
// 0.1 of room at each end: 1 stands at 264 - 254 * 0.1 / 2.2.
TEST(SvgChart, DrawsValuesWhereTheScaleHasThem) {
  const std::string svg = svg_of(picture_of({1.0, 3.0, 2.0}));
  EXPECT_THAT(svg, HasSubstr("class=\"line r0 s0\" d=\"M60.0 252.5L337.0 21.5L614.0 137.0\""));
}

TEST(SvgChart, ASingleValueIsDrawnToo) {
  const std::string svg = svg_of(picture_of({5.0}));
  EXPECT_THAT(svg, HasSubstr("<circle class=\"dot r0 s0\" cx=\"337.0\" cy=\"137.0\""));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(SvgChart, ZerosAreDrawnOnALinearAxisWhateverWasAskedFor) {
  ChartPicture picture = picture_of({0.0, 10.0});
  picture.is_logarithmic = true;
  EXPECT_THAT(svg_of(picture), Not(HasSubstr("nan")));
}

TEST(SvgChart, FewFarValuesDoNotFlattenASmoothedCurve) {
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(i % 2 == 0 ? 1.0 : 2.0);
  values[50] = 1000.0;
  const ShownValues shown = shown_values(picture_of(values));
  // The smooth line reaches (4 * 1.5 + 1000) / 5 or so, far below 1000.
  EXPECT_LT(shown.high, 300.0);
  EXPECT_EQ(shown.low, 1.0);
  EXPECT_EQ(shown.num_outside, 1);
  EXPECT_EQ(shown.highest, 1000.0);
}

TEST(SvgChart, MarksAreRoundValues) {
  EXPECT_THAT(round_values({.low = 0.3, .high = 4.6}, 5), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(round_values({.low = 3.0, .high = 700.0, .is_logarithmic = true}, 5),
              ElementsAre(5, 10, 20, 50, 100, 200, 500));
}

}  // namespace svg_chart_test
}  // namespace cpx::report
