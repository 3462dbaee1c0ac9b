// SPDX-License-Identifier: Apache-2.0
#include "run_facts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <system_error>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "numbers.h"

namespace cpx::report {

namespace fs = std::filesystem;

namespace {

// Where a run's adapter lies, the one to be published first.
constexpr std::array<const char*, 2> kAdapterFolders = {"final", "best"};

std::optional<fs::path> adapter_file(const RunRecord& run, const char* name) {
  std::error_code error;
  for (const char* const folder : kAdapterFolders) {
    const fs::path file = run.folder / folder / name;
    if (fs::exists(file, error)) return file;
  }
  return std::nullopt;
}

// The layers by name as the adapter has them; the setting may only say "all-linear".
std::string targets_of(const RunRecord& run) {
  std::string targets(run.setting("adapter.target_modules"));
  const auto file = adapter_file(run, "adapter_config.json");
  if (!file) return targets;
  try {
    const auto list = JsonValue::read_object("adapter", *file).find("target_modules");
    if (!list || !list->is_list()) return targets;
    std::string names;
    for (const JsonValue& name : list->elements()) {
      names += (names.empty() ? "" : ", ") + name.text();
    }
    return targets.empty() || targets.starts_with('[') ? names
                                                       : fmt::format("{} ({})", targets, names);
  } catch (const DataError&) {
    return targets;  // the setting is enough
  }
}

// "Trained with the objective `sft` by cpx 0.1.0. Load it ..." in the model card of the adapter.
std::string version_of(const RunRecord& run) {
  constexpr std::string_view kMark = "` by cpx ";
  const auto file = adapter_file(run, "README.md");
  if (!file) return "not known: there is no adapter in final/ or best/";
  const std::string card = read_text_file(*file);
  const size_t mark = card.find(kMark);
  if (mark == std::string::npos) return "not known: the model card does not say it";
  const size_t begin = mark + kMark.size();
  return card.substr(begin, card.find(". ", begin) - begin);
}

double sum(const MetricSeries* series) {
  if (series == nullptr) return 0.0;
  return std::accumulate(series->values.begin(), series->values.end(), 0.0);
}

std::string steps_of(const RunRecord& run) {
  const MetricSeries* const loss = run.find_series("loss");
  if (loss == nullptr) return "";
  std::string text = shown(static_cast<double>(loss->steps.back()));
  const std::string_view planned = run.setting("training.max_steps");
  if (!planned.empty() && planned != "0") text += fmt::format(" of {}", planned);
  return text;
}

std::string epochs_of(const RunRecord& run) {
  const MetricSeries* const epoch = run.find_series("epoch");
  if (epoch == nullptr || epoch->values.back() <= 0.0) return "";
  const double steps = static_cast<double>(epoch->steps.back()) / epoch->values.back();
  return fmt::format("{} ({} steps an epoch)", shown(epoch->values.back()),
                     shown(std::round(steps)));
}

std::string adapter_of(const RunRecord& run) {
  if (run.setting("adapter.rank").empty()) return "";
  return fmt::format("LoRA, rank {}, alpha {}, dropout {}", run.setting("adapter.rank"),
                     run.setting("adapter.alpha"), run.setting("adapter.dropout"));
}

std::string optimizer_of(const RunRecord& run) {
  if (run.setting("optimizer.name").empty()) return "";
  return fmt::format("{}, learning rate {}, {} schedule", run.setting("optimizer.name"),
                     run.setting("optimizer.lr"), run.setting("schedule.name"));
}

std::string batch_of(const RunRecord& run) {
  if (run.setting("training.groups").empty()) return "";
  return fmt::format("{} groups, accumulated {} times", run.setting("training.groups"),
                     run.setting("training.accumulate"));
}

std::string time_of(const RunRecord& run) {
  const double seconds = training_seconds(run);
  if (seconds <= 0.0) return "";
  const double cpu = sum(run.find_series("cpu_seconds"));
  std::string text = shown_seconds(seconds);
  if (cpu > 0.0) text += fmt::format(" in steps, {} of all threads together", shown_seconds(cpu));
  return text;
}

std::string memory_of(const RunRecord& run) {
  const MetricSeries* const memory = run.find_series("peak_memory_mib");
  if (memory == nullptr) return "";
  return shown(std::round(std::ranges::max(memory->values))) + " MiB";
}

// A list of files; an empty one is a setting too.
std::string files_of(const RunRecord& run, std::string_view key) {
  const std::string_view files = run.setting(key);
  return files == "[]" ? "none" : std::string(files);
}

std::string number_text(const std::optional<double>& number) {
  return number ? shown(*number) : "";
}

}  // namespace

std::optional<double> last_value(const MetricSeries* series) {
  if (series == nullptr || series->values.empty()) return std::nullopt;
  return series->values.back();
}

double training_seconds(const RunRecord& run) {
  const MetricSeries* const tokens = run.find_series("tokens");
  const MetricSeries* const rate = run.find_series("tokens_per_second");
  if (tokens == nullptr || rate == nullptr || tokens->steps != rate->steps) return 0.0;
  double seconds = 0.0;
  for (size_t i = 0; i < tokens->values.size(); ++i) {
    if (rate->values[i] > 0.0) seconds += tokens->values[i] / rate->values[i];
  }
  return seconds;
}

std::vector<NamedText> facts_of(const RunRecord& run) {
  const double tokens = sum(run.find_series("tokens"));
  std::vector<NamedText> facts = {
      {"Base model", std::string(run.setting("model.path"))},
      {"Objective", std::string(run.setting("objective.name"))},
      {"Adapter", adapter_of(run)},
      {"Adapted layers", targets_of(run)},
      {"Training data", files_of(run, "data.train")},
      {"Evaluation data", files_of(run, "data.eval")},
      {"Optimizer", optimizer_of(run)},
      {"Batch", batch_of(run)},
      {"Optimizer steps", steps_of(run)},
      {"Epochs", epochs_of(run)},
      {"Tokens through the model", tokens > 0.0 ? shown(tokens) : ""},
      {"Skipped steps", number_text(last_value(run.find_series("skipped_steps")))},
      {"Seed", std::string(run.setting("training.seed"))},
      {"Compute type", std::string(run.setting("model.dtype"))},
      {"Time", time_of(run)},
      {"Peak memory", memory_of(run)},
      {"cpx", version_of(run)},
      {"Machine", ""}};
  for (NamedText& fact : facts) {
    if (fact.text.empty()) fact.text = "not in the run folder";
  }
  return facts;
}

}  // namespace cpx::report
