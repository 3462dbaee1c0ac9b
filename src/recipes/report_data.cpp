// SPDX-License-Identifier: Apache-2.0
#include "report_data.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "cpx/data/globs.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kMib = 1024 * 1024;
constexpr int64_t kMostCounted = 64 * kMib;  // larger data are not read

// The patterns of "[a/*.json, b.json]", as the settings of a run have them.
std::vector<std::string> patterns_of(std::string_view list) {
  if (list.starts_with('[') && list.ends_with(']')) list = list.substr(1, list.size() - 2);
  std::vector<std::string> patterns;
  while (!list.empty()) {
    const size_t end = std::min(list.find(", "), list.size());
    patterns.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 2, list.size()));
  }
  return patterns;
}

int64_t num_records(const fs::path& file) {
  int64_t count = 0;
  if (holds_json(file)) {
    JsonStream stream(file, "record");
    while (stream.next()) ++count;
    return count;
  }
  LineReader lines(file);
  while (const auto line = lines.next()) count += is_blank(*line) ? 0 : 1;
  return count;
}

std::string counts_of(const std::vector<std::string>& patterns) {
  Faults faults;
  const std::vector<fs::path> files = data::expand_globs(patterns, faults);
  if (!faults.empty()) return "not found from this folder";
  int64_t bytes = 0;
  std::error_code error;
  for (const fs::path& file : files) bytes += static_cast<int64_t>(fs::file_size(file, error));
  const std::string num_files = counted(std::ssize(files), "file");
  if (bytes > kMostCounted) return fmt::format("{}, {} MiB", num_files, bytes / kMib);
  try {
    int64_t count = 0;
    for (const fs::path& file : files) count += num_records(file);
    return fmt::format("{}, {}", num_files, counted(count, "record"));
  } catch (const DataError&) {
    return num_files;  // what they are is for cpx-train to say
  }
}

}  // namespace

void add_data_counts(report::RunRecord& run) {
  constexpr std::pair<const char*, const char*> kData[] = {{"Training data", "data.train"},
                                                           {"Evaluation data", "data.eval"}};
  for (const auto& [name, key] : kData) {
    const std::vector<std::string> patterns = patterns_of(run.setting(key));
    const auto fact = std::ranges::find(run.facts, name, &report::NamedText::name);
    if (patterns.empty() || fact == run.facts.end()) continue;
    fact->text += fmt::format(" ({})", counts_of(patterns));
  }
}

}  // namespace cpx::recipes
