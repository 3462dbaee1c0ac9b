// SPDX-License-Identifier: Apache-2.0
// How sure the figures of a PerplexitySummary are: percentile intervals of a bootstrap over texts.
// A resample draws as many toxic texts as there are among the toxic ones, and neutral ones in the
// same way (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8.3 and 13.3).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/statistics.h"
#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

/// The intervals of a SideSummary's figures.
struct SideIntervals {
  std::optional<Interval> perplexity = std::nullopt;
  std::optional<Interval> mean_text_perplexity = std::nullopt;
};

/// The intervals of a SideComparison's figures. What needs a side with fewer than two scored texts,
/// or with a NLL that is not finite, is none.
struct ComparisonIntervals {
  SideIntervals toxic = {};
  SideIntervals neutral = {};
  std::optional<Interval> ratio = std::nullopt;
  std::optional<Interval> separation = std::nullopt;
};

/// Those of all texts together, and of each group by its name.
struct PerplexityIntervals {
  ComparisonIntervals all = {};
  std::map<std::string, ComparisonIntervals> groups = {};
};

/// The intervals of one model.
struct ModelIntervals {
  PerplexityIntervals figures = {};
  /// Of the changes against the first model: in percent, of the separation the difference. The
  /// resamples are paired: both models are measured on the same drawn texts. Empty for the first.
  PerplexityIntervals changes = {};
};

/// The intervals of each of `models`, which scored the same texts in the same order. They depend
/// on nothing but the arguments. Throws std::invalid_argument if the models have other numbers of
/// texts, and for options that bootstrap_interval() refuses.
std::vector<ModelIntervals> perplexity_intervals(
    std::span<const std::vector<objectives::ScoredText>> models, const BootstrapOptions& options);

}  // namespace cpx::evaluation
