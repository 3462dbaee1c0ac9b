// SPDX-License-Identifier: Apache-2.0
// Which evaluation is the best one, and when to stop waiting for a better one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "cpx/training/step_task.h"

namespace cpx::training {

/// kLoss: lower is better. kSeparation and kRatio of toxic against neutral text, and kScore of
/// sampled responses: higher is better.
enum class SelectionMetric { kLoss, kSeparation, kRatio, kScore };
constexpr std::array<std::string_view, 4> enum_names(SelectionMetric) {
  return {"loss", "separation", "ratio", "score"};
}

/// "loss", "separation", "ratio" or "score".
std::string_view metric_name(SelectionMetric metric);

/// The metric's value, none where it is undefined or not finite.
std::optional<double> metric_value(SelectionMetric metric, const EvaluationResult& result);

/// True when `value` is strictly better than `best`, or there is no best yet.
bool is_better(SelectionMetric metric, double value, const std::optional<double>& best);

/// The best evaluation so far; part of a checkpoint.
struct BestSoFar {
  std::optional<double> value = std::nullopt;
  int64_t step = 0;
  /// Evaluations since then.
  int64_t evaluations_without_better = 0;

  /// Takes in the evaluation at `at_step`; true when it is the best one. An evaluation without a
  /// value is never the best.
  bool update(SelectionMetric metric, const EvaluationResult& result, int64_t at_step);
};

}  // namespace cpx::training
