// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/selection.h"

#include <cmath>

namespace cpx::training {

std::string_view metric_name(SelectionMetric metric) {
  return enum_names(metric)[static_cast<size_t>(metric)];
}

std::optional<double> metric_value(SelectionMetric metric, const EvaluationResult& result) {
  std::optional<double> value;
  switch (metric) {
    case SelectionMetric::kLoss:
      value = result.loss;
      break;
    case SelectionMetric::kSeparation:
      value = result.sides.separation;
      break;
    case SelectionMetric::kRatio:
      value = result.sides.ratio;
      break;
    case SelectionMetric::kScore:
      value = result.score;
      break;
  }
  if (value && !std::isfinite(*value)) return std::nullopt;
  return value;
}

bool is_better(SelectionMetric metric, double value, const std::optional<double>& best) {
  if (!best) return true;
  return metric == SelectionMetric::kLoss ? value < *best : value > *best;
}

bool BestSoFar::update(SelectionMetric metric, const EvaluationResult& result, int64_t at_step) {
  const auto candidate = metric_value(metric, result);
  if (!candidate || !is_better(metric, *candidate, value)) {
    ++evaluations_without_better;
    return false;
  }
  *this = {.value = candidate, .step = at_step, .evaluations_without_better = 0};
  return true;
}

}  // namespace cpx::training
