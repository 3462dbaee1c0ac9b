// SPDX-License-Identifier: Apache-2.0
// Which keys of metrics.jsonl stand in which chart, in which order, and what they are called.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpx/report/run_record.h"

namespace cpx::report {

/// A key in a chart.
struct ChartKey {
  std::string key;
  std::string title = {};  // in the chart's legend; empty: the chart has only this key
};

/// Keys that share one picture.
struct MetricChart {
  std::string title;
  std::string unit = {};         // beside the title
  std::string explanation = {};  // one sentence
  std::vector<ChartKey> keys = {};
  bool is_logarithmic = false;  // where all values are positive
  bool is_of_machine = false;   // speed and memory rather than learning
};

/// The charts for the metrics of these runs: known keys first, in the order of the table, then all
/// others. Keys whose value never changes have no chart: see constant_keys().
std::vector<MetricChart> charts_of(std::span<const RunRecord> runs);

/// The keys that have one and the same value at every step of every run, with that value.
std::vector<NamedText> constant_keys(std::span<const RunRecord> runs);

/// True for a key of the evaluations during a run.
bool is_evaluation_key(std::string_view key);

/// A key in plain words: "grad_norm" becomes "Grad norm".
std::string title_of_key(std::string_view key);

}  // namespace cpx::report
