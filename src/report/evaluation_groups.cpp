// SPDX-License-Identifier: Apache-2.0
#include "evaluation_groups.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sections.h"

namespace cpx::report {

namespace {

// Settings in which reports of the same measurement may differ.
bool is_free(std::string_view name) {
  constexpr std::array<std::string_view, 18> kNames = {
      "model",   "adapter",     "compare", "report",  "output",  "overwrite",
      "dtype",   "device",      "threads", "weights", "seconds", "batch_size",
      "version", "cpx_version", "cpx",     "journal", "details", "batch_tokens"};
  const std::string_view first = name.substr(0, name.find('.'));
  return std::ranges::find(kNames, first) != kNames.end() ||
         name.find("fingerprint") != std::string_view::npos;
}

std::string measurement_of(const EvaluationRecord& report) {
  std::string key;
  for (const NamedText& setting : report.settings) {
    if (!is_free(setting.name)) key += fmt::format("{}={}\n", setting.name, setting.text);
  }
  if (key.empty()) {
    for (const FigurePath& path : report.figures.paths()) {
      if (path.size() > 3 || (path.back() != "texts" && path.back() != "tokens")) continue;
      key += fmt::format("{}={}\n", fmt::join(path, "."), report.figures.find(path)->text);
    }
  }
  return report.kind + "\n" + key;
}

std::string normal(const std::filesystem::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

// "final" for the adapter runs/a/final of the run runs/a, or nothing for one of another folder.
std::optional<std::string> part_of_run(const std::string& adapter, const RunRecord& run) {
  const std::string path = normal(adapter);
  for (const std::string& folder : {normal(run.folder), normal(run.setting("training.output"))}) {
    if (!folder.empty() && path.starts_with(folder + "/")) return path.substr(folder.size() + 1);
  }
  return std::nullopt;
}

// The number of the run whose folder an adapter lies in, or -1.
int run_of(const std::string& adapter, const std::vector<RunRecord>& runs) {
  for (size_t run = 0; run < runs.size(); ++run) {
    if (part_of_run(adapter, runs[run])) return static_cast<int>(run);
  }
  return -1;
}

// The column of a report without an adapter.
std::string name_of_base(const EvaluationRecord& report) {
  const bool is_of_texts = report.model.empty() && !report.name.empty();
  return is_of_texts ? short_names({report.name}).front() : "base";
}

void name_columns(EvaluationGroup& group, const std::vector<RunRecord>& runs) {
  std::vector<std::string> adapters;
  for (const EvaluationRecord* const report : group.reports) {
    if (report->adapter) adapters.push_back(*report->adapter);
  }
  const std::vector<std::string> shorter = short_names(adapters);
  size_t number = 0;
  for (const EvaluationRecord* const report : group.reports) {
    const int run = report->adapter ? run_of(*report->adapter, runs) : -1;
    group.runs.push_back(run);
    std::string name = report->adapter ? shorter[number++] : name_of_base(*report);
    if (run >= 0) {
      const auto at = static_cast<size_t>(run);
      const std::string part = part_of_run(*report->adapter, runs[at]).value_or(name);
      name = runs.size() == 1 ? part : letter_of(at) + " " + part;
    }
    group.names.push_back(std::move(name));
  }
}

}  // namespace

std::vector<EvaluationGroup> comparable_groups(const PageContent& content) {
  std::vector<std::string> keys;
  std::vector<EvaluationGroup> groups;
  for (const EvaluationRecord& report : content.evaluations) {
    const std::string key = measurement_of(report);
    const auto found = std::ranges::find(keys, key);
    const auto at = static_cast<size_t>(found - keys.begin());
    if (found == keys.end()) {
      keys.push_back(key);
      groups.emplace_back();
    }
    groups[at].reports.push_back(&report);
  }
  for (EvaluationGroup& group : groups) {
    std::ranges::stable_sort(group.reports, {}, [](const EvaluationRecord* report) {
      return report->adapter.has_value();
    });
    name_columns(group, content.runs);
  }
  return groups;
}

}  // namespace cpx::report
