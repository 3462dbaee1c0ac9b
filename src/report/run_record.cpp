// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/run_record.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "run_facts.h"

namespace cpx::report {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMetricsFile = "metrics.jsonl";
constexpr const char* kSettingsFile = "config.resolved.yaml";
constexpr const char* kSamplesFile = "generations.jsonl";
constexpr size_t kMostNotes = 5;  // of one file

// Notes the first faults of a file, and how many more there are.
void note_faults(const fs::path& file, const Faults& faults, std::vector<std::string>& notes) {
  const std::vector<std::string> texts = faults.texts();
  for (size_t i = 0; i < std::min(texts.size(), kMostNotes); ++i) {
    notes.push_back(texts[i] + " It was left out.");
  }
  if (texts.size() > kMostNotes) {
    notes.push_back(fmt::format("[{}] {} were left out too.", file.string(),
                                counted(std::ssize(texts) - std::ssize(notes), "more value")));
  }
}

class MetricsReader {
 public:
  explicit MetricsReader(std::vector<MetricSeries>& metrics) : metrics_(metrics) {}

  void add(const JsonValue& line) {
    if (!line.is_object()) line.fail("an object with the key step");
    const int64_t step = line.at("step").integer(/*low=*/0);
    for (const JsonMember& member : line.members()) {
      if (member.key == "step") continue;
      if (member.value.is_null()) {
        ++series(member.key).num_missing;
      } else if (member.value.is_number()) {
        MetricSeries& one = series(member.key);
        one.steps.push_back(step);
        one.values.push_back(member.value.number());
      }
    }
  }

 private:
  MetricSeries& series(std::string_view key) {
    const auto found = std::ranges::find(metrics_, key, &MetricSeries::key);
    if (found != metrics_.end()) return *found;
    metrics_.push_back({.key = std::string(key), .steps = {}, .values = {}, .num_missing = 0});
    return metrics_.back();
  }

  std::vector<MetricSeries>& metrics_;
};

// Runs that were joined by hand may go back; a curve may not.
void sort_by_step(MetricSeries& series) {
  if (std::ranges::is_sorted(series.steps)) return;
  std::vector<size_t> order(series.steps.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](size_t i) { return series.steps[i]; });
  MetricSeries sorted{.key = series.key, .steps = {}, .values = {}, .num_missing = 0};
  for (const size_t i : order) {
    sorted.steps.push_back(series.steps[i]);
    sorted.values.push_back(series.values[i]);
  }
  series.steps = std::move(sorted.steps);
  series.values = std::move(sorted.values);
}

void read_metrics(RunRecord& run) {
  const fs::path file = run.folder / kMetricsFile;
  if (!fs::exists(file)) {
    run.notes.push_back(fmt::format("[{}] there is no such file: no curves.", file.string()));
    return;
  }
  Faults faults;
  MetricsReader reader(run.metrics);
  for_each_json(file, "step", faults, [&](const JsonValue& line) { reader.add(line); });
  for (MetricSeries& series : run.metrics) sort_by_step(series);
  // A key that was null throughout has no curve.
  for (const MetricSeries& series : run.metrics) {
    if (series.num_missing == 0) continue;
    run.notes.push_back(fmt::format("[{}] {}: {} not finite and left out.", file.string(),
                                    printable(series.key),
                                    counted(series.num_missing, "value was", "values were")));
  }
  std::erase_if(run.metrics, [](const MetricSeries& series) { return series.values.empty(); });
  note_faults(file, faults, run.notes);
}

void read_settings(RunRecord& run) {
  const fs::path file = run.folder / kSettingsFile;
  if (!fs::exists(file)) {
    run.notes.push_back(fmt::format("[{}] there is no such file: no settings.", file.string()));
    return;
  }
  try {
    run.settings = flat_settings(read_text_file(file), file.string());
  } catch (const DataError& error) {
    run.notes.emplace_back(error.what());
  }
}

void read_samples(RunRecord& run) {
  const fs::path file = run.folder / kSamplesFile;
  std::error_code error;
  if (!fs::exists(file, error) || fs::file_size(file, error) == 0) return;
  Faults faults;
  for_each_json(file, "text", faults, [&](const JsonValue& line) {
    if (!is_sample(line)) line.fail("an object with the keys prompt and text");
    std::ranges::move(samples_of(line), std::back_inserter(run.samples));
  });
  note_faults(file, faults, run.notes);
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::path(path).lexically_normal()) {
    if (!part.empty() && part != "/" && part != ".") parts.push_back(part.string());
  }
  return parts.empty() ? std::vector<std::string>{path} : parts;
}

// True if all lists of parts end alike and none would be left empty without that end.
bool end_alike(const std::vector<std::vector<std::string>>& all) {
  return std::ranges::all_of(all, [&](const std::vector<std::string>& parts) {
    return parts.size() > 1 && parts.back() == all.front().back();
  });
}

std::string last_parts(const std::vector<std::string>& parts, size_t count) {
  std::string name;
  for (size_t i = parts.size() - std::min(count, parts.size()); i < parts.size(); ++i) {
    name += (name.empty() ? "" : "/") + parts[i];
  }
  return name;
}

}  // namespace

std::string_view RunRecord::setting(std::string_view key) const {
  const auto found = std::ranges::find(settings, key, &NamedText::name);
  return found == settings.end() ? std::string_view() : std::string_view(found->text);
}

const MetricSeries* RunRecord::find_series(std::string_view key) const {
  const auto found = std::ranges::find(metrics, key, &MetricSeries::key);
  return found == metrics.end() ? nullptr : &*found;
}

bool is_run_folder(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kMetricsFile, error) || fs::exists(folder / kSettingsFile, error);
}

RunRecord read_run(const fs::path& folder) {
  if (!is_run_folder(folder)) {
    throw_<DataError>(
        "[{}] is no run folder: got neither metrics.jsonl nor config.resolved.yaml, expected a "
        "folder that cpx-train has written.",
        folder.string());
  }
  RunRecord run;
  run.folder = folder;
  read_metrics(run);
  read_settings(run);
  read_samples(run);
  run.facts = facts_of(run);
  return run;
}

std::vector<std::string> short_names(const std::vector<std::string>& paths) {
  std::vector<std::vector<std::string>> all;
  for (const std::string& path : paths) all.push_back(parts_of(path));
  while (all.size() > 1 &&
         std::ranges::adjacent_find(all, std::ranges::not_equal_to()) != all.end() &&
         end_alike(all)) {
    for (auto& parts : all) parts.pop_back();
  }
  std::vector<std::string> names;
  for (const auto& parts : all) {
    size_t count = 1;
    const auto is_shared = [&](const std::vector<std::string>& other) {
      return other != parts && last_parts(other, count) == last_parts(parts, count);
    };
    while (count < parts.size() && std::ranges::any_of(all, is_shared)) ++count;
    names.push_back(last_parts(parts, count));
  }
  return names;
}

void name_runs(std::vector<RunRecord>& runs) {
  std::vector<std::string> folders;
  for (const RunRecord& run : runs) folders.push_back(fs::absolute(run.folder).string());
  const std::vector<std::string> names = short_names(folders);
  for (size_t i = 0; i < runs.size(); ++i) runs[i].name = names[i];
}

}  // namespace cpx::report
