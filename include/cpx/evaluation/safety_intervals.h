// SPDX-License-Identifier: Apache-2.0
// How sure safety scores are: percentile intervals of a bootstrap over items. A resample draws as
// many hateful items as there are among the hateful ones, and neutral ones in the same way; an item
// of several groups comes to all of them.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/safety_score.h"
#include "cpx/evaluation/statistics.h"

namespace cpx::evaluation {

/// The intervals of a SafetyScore's figures: those of the groups by name, and of the average over
/// the groups that count. A group without a score has none.
struct SafetyScoreIntervals {
  std::map<std::string, std::optional<Interval>> groups = {};
  std::optional<Interval> average = std::nullopt;
};

/// The intervals of one model.
struct SafetyIntervals {
  SafetyScoreIntervals scores = {};
  /// Of the differences to the first model, on the same drawn items. Empty for the first.
  SafetyScoreIntervals changes = {};
};

/// The intervals of each of `models`, which have the same items in the same order, each with its
/// own perplexities. They depend on nothing but the arguments. Throws std::invalid_argument if the
/// models have other numbers of items, and without a resample.
std::vector<SafetyIntervals> safety_intervals(std::span<const std::vector<SafetyItem>> models,
                                              SafetyScaling scaling,
                                              const BootstrapOptions& options);

}  // namespace cpx::evaluation
