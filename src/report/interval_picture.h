// SPDX-License-Identifier: Apache-2.0
// Confidence intervals of one figure under several models as a small picture: a line from low to
// high and a dot at the figure, one below the other in the order of the models.
#pragma once

#include <optional>
#include <span>

#include "cpx/report/evaluation_record.h"
#include "html.h"

namespace cpx::report {

/// A figure in the picture.
struct PicturedFigure {
  double number = 0.0;
  std::optional<FigureInterval> interval = std::nullopt;
  int run = -1;  // chooses the colour; -1: that of the base
};

/// Writes the picture; the numbers stand beside it, so it is hidden from screen readers.
void write_intervals(HtmlWriter& html, std::span<const PicturedFigure> figures);

}  // namespace cpx::report
