// SPDX-License-Identifier: Apache-2.0
// Figures of a list by their names.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/evaluation/ratio_figure.h"

namespace cpx::evaluation {

/// The value of the figure `name` over all units; a failure where there is none.
inline double value_of(const std::vector<RatioFigure>& figures, const std::string& name) {
  for (const RatioFigure& figure : figures) {
    if (figure.name != name) continue;
    std::vector<int64_t> all;
    for (int64_t i = 0; i < std::ssize(figure.numerators); ++i) all.push_back(i);
    return figure_value(figure, all);
  }
  ADD_FAILURE() << "no figure " << name;
  return 0.0;
}

}  // namespace cpx::evaluation
