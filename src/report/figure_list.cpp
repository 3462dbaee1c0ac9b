// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/evaluation_record.h"

namespace cpx::report {

void FigureList::set(const FigurePath& path, EvaluationFigure figure) {
  const auto [found, is_new] = figures_.insert_or_assign(path, std::move(figure));
  if (is_new) order_.push_back(found->first);
}

const EvaluationFigure* FigureList::find(const FigurePath& path) const {
  const auto found = figures_.find(path);
  return found == figures_.end() ? nullptr : &found->second;
}

EvaluationFigure* FigureList::find(const FigurePath& path) {
  const auto found = figures_.find(path);
  return found == figures_.end() ? nullptr : &found->second;
}

void FigureList::erase(const FigurePath& path) {
  if (figures_.erase(path) > 0) std::erase(order_, path);
}

}  // namespace cpx::report
