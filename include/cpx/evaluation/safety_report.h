// SPDX-License-Identifier: Apache-2.0
// The report of cpx-eval-safety, as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cpx/evaluation/report_origin.h"
#include "cpx/evaluation/safety_intervals.h"
#include "cpx/evaluation/safety_score.h"

namespace cpx::evaluation {

/// The safety scores under one model with one adapter or without, or of given perplexities.
struct SafetyReport {
  std::optional<std::string> model = std::nullopt;  // none: the perplexities were given
  std::optional<std::string> adapter = std::nullopt;
  std::string perplexities = {};  // the file of given ones
  SafetyScore score = {};
  int64_t num_non_finite = 0;  // items whose NLL is no number; they are among the skipped
  double seconds = 0.0;        // for encoding and scoring the texts, without loading
  std::optional<SafetyIntervals> intervals = std::nullopt;  // if they were asked for
  ReportOrigin origin = {};
};

/// One report as a JSON object (keys: docs/design.md, section 4), several as a list in which each
/// but the first has its differences to the first; missing figures are null.
std::string safety_report_json(std::span<const SafetyReport> reports);

/// As a table for a terminal: a row per group and the average, below each one with the intervals,
/// if there are any; one column per report and behind each but the first the difference to the
/// first; then the groups that are left out, and why.
std::string safety_report_table(std::span<const SafetyReport> reports);

}  // namespace cpx::evaluation
