// SPDX-License-Identifier: Apache-2.0
// Reads what a folder of cpx-train says about its run: metrics, settings, texts, facts. Whatever is
// damaged is left out and noted; only a folder without a run is an error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/report/text_samples.h"

namespace cpx::report {

/// The values of one key of metrics.jsonl, by step.
struct MetricSeries {
  std::string key;
  std::vector<int64_t> steps;  // ascending
  std::vector<double> values;  // of these steps, all finite
  int64_t num_missing = 0;     // values that were null: not finite
};

/// A key with its value as text: a setting or a fact.
struct NamedText {
  std::string name;
  std::string text;
};

/// One run as the page shows it.
struct RunRecord {
  std::string name = {};  // as short as it can be to differ from the other runs
  std::filesystem::path folder = {};
  std::vector<MetricSeries> metrics = {};  // in the order in which their keys appear
  std::vector<NamedText> settings = {};    // flat keys ("adapter.rank") of config.resolved.yaml
  std::vector<NamedText> facts = {};       // for a model card
  std::vector<SampleText> samples = {};    // of generations.jsonl
  std::vector<std::string> notes = {};     // what was left out

  /// The setting of this key, or an empty text.
  std::string_view setting(std::string_view key) const;
  /// The series of this key, or nullptr.
  const MetricSeries* find_series(std::string_view key) const;
};

/// True if the folder has metrics.jsonl or config.resolved.yaml.
bool is_run_folder(const std::filesystem::path& folder);

/// Reads a run. Throws DataError if the folder contains none.
RunRecord read_run(const std::filesystem::path& folder);

/// Gives each run the shortest end of its folder's path that differs from those of the others; ends
/// that all runs have in common ("run") are left out.
void name_runs(std::vector<RunRecord>& runs);

/// The same for any paths: one name each.
std::vector<std::string> short_names(const std::vector<std::string>& paths);

/// The keys and values of YAML as one list with flat keys; lists are written on one line. Throws
/// DataError, which names `file`, for text that is not YAML.
std::vector<NamedText> flat_settings(std::string_view yaml, const std::string& file);

}  // namespace cpx::report
