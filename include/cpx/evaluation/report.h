// SPDX-License-Identifier: Apache-2.0
// The report of cpx-eval-ppl, as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cpx/evaluation/perplexity_intervals.h"
#include "cpx/evaluation/report_origin.h"
#include "cpx/objectives/perplexity_summary.h"

namespace cpx::evaluation {

/// Number of distinct texts of a side; nullopt if all its texts are distinct.
struct DistinctTexts {
  std::optional<int64_t> toxic = std::nullopt;
  std::optional<int64_t> neutral = std::nullopt;
};

/// The figures of one model with one adapter or without.
struct Report {
  std::string model;
  std::optional<std::string> adapter;
  objectives::PerplexitySummary summary;
  double seconds = 0.0;  // for encoding and scoring the texts, without loading
  DistinctTexts distinct_texts = {};
  std::optional<ModelIntervals> intervals = std::nullopt;  // if they were asked for
  ReportOrigin origin = {};
};

/// One report as a JSON object (keys: docs/design.md, section 4), several as a list in which each
/// but the first has its changes against the first; missing figures are null.
std::string report_json(std::span<const Report> reports);

/// As a table for a terminal: one row per figure and side, and below it one with the intervals, if
/// there are any; one column per report, and behind each but the first its change against the
/// first. Below it, one row per group.
std::string report_table(std::span<const Report> reports);

}  // namespace cpx::evaluation
