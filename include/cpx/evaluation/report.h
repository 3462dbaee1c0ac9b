// SPDX-License-Identifier: Apache-2.0
// The report of cpx-eval-ppl, as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

/// How many texts of a side differ from each other; none where each does.
struct DistinctTexts {
  std::optional<int64_t> toxic = std::nullopt;
  std::optional<int64_t> neutral = std::nullopt;
};

/// The figures of one model with one adapter, or with none.
struct Report {
  std::string model;
  std::optional<std::string> adapter;
  objectives::PerplexitySummary summary;
  double seconds = 0.0;  // for encoding and scoring the texts, without loading
  DistinctTexts distinct_texts = {};
};

/// One report as a JSON object (keys: docs/design.md, section 4), several as a list; figures that
/// do not exist are null.
std::string report_json(std::span<const Report> reports);

/// The same for a terminal: a row a side, the reports in columns, with the change from the first to
/// the last in percent where there are two; below, a row a group.
std::string report_table(std::span<const Report> reports);

}  // namespace cpx::evaluation
