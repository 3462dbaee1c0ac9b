// SPDX-License-Identifier: Apache-2.0
// Pictures of curves as inline SVG, readable without a script. Colours are classes of the page's
// style sheet (r0, r1, ...), so that they follow its light and dark form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "curve.h"
#include "html.h"

namespace cpx::report {

/// The size of a picture and of its margins, in units of its view box. The page's script draws by
/// the same numbers.
struct ChartSize {
  double width = 640;
  double height = 300;
  double left = 60;
  double right = 26;
  double top = 10;
  double bottom = 36;
};

/// Runs have so many colours; further ones begin again.
inline constexpr int kNumColors = 8;

/// A curve in a picture.
struct ChartLine {
  int run = 0;         // chooses the colour
  int style = 0;       // 0 solid, 1 dashed, 2 dotted
  std::string name;    // "A", "A, toxic"
  std::string letter;  // at the curve's end; may be empty
  Curve curve;
};

/// A picture with the texts that describe it to those who do not see it.
struct ChartPicture {
  std::string id;  // of the element
  std::string title;
  std::string description;
  bool is_logarithmic = false;
  std::vector<ChartLine> lines;
};

/// The values that a picture shows. Few values far from all others would flatten its curves: on a
/// linear axis with smoothed curves they are outside.
struct ShownValues {
  double low = 0.0;
  double high = 0.0;
  int64_t num_outside = 0;  // points that reach beyond
  double lowest = 0.0;      // of all values
  double highest = 0.0;
};

/// See ShownValues: the smooth lines and all but two in a hundred points at each end, with a
/// quarter of that range as room.
ShownValues shown_values(const ChartPicture& picture);

/// The class that gives an element the colour of a run: "r1"; of the base (-1): "plain".
std::string color_class(int run);

/// The classes of a line's elements: "r1 s0".
std::string classes_of(const ChartLine& line);

/// Writes the picture.
void write_svg(HtmlWriter& html, const ChartPicture& picture);

/// Writes a short line in the style of a key, for a legend.
void write_swatch(HtmlWriter& html, int run, int style);

}  // namespace cpx::report
