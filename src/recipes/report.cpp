// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/report.h"

#include <algorithm>
#include <iostream>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "cpx/report/page.h"
#include "exit_status.h"
#include "report_data.h"
#include "run_folder.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

constexpr const char* kExpectedInput =
    "a report of a cpx-eval tool (with the key kind), or texts with a prompt each";

void check_outputs(const ReportCommand& command) {
  OutputCheck outputs;
  for (const std::string& input : command.inputs) {
    outputs.reads("RUN or REPORT", input);
    for (const char* const file : {"metrics.jsonl", "config.resolved.yaml", "generations.jsonl"}) {
      if (fs::exists(fs::path(input) / file)) {
        outputs.reads("RUN or REPORT", fs::path(input) / file);
      }
    }
  }
  outputs.writes("--output", command.output);
  outputs.check();
  for (const std::string& input : command.inputs) {
    if (!fs::is_directory(input) || !is_part_of_run(command.output, input)) continue;
    throw_<ConfigError>(
        "[--output] '{}' lies among the files of the run '{}', expected another place. The run's "
        "folder itself is one.",
        command.output.string(), input);
  }
}

// Reads the inputs, each as what it is.
class InputReader {
 public:
  explicit InputReader(report::PageContent& content) : content_(content) {}

  void read(const std::string& input) {
    std::error_code error;
    if (fs::is_directory(input, error)) {
      content_.runs.push_back(report::read_run(input));
    } else if (fs::exists(input, error)) {
      read_file(input);
    } else {
      throw_<DataError>(
          "[{}] no such file or folder: got nothing there, expected a run folder or a report.",
          input);
    }
  }

 private:
  void read_file(const std::string& file) {
    JsonItems items = read_json_items(file, "value");
    if (items.values.empty()) items.faults.throw_first_if_any();
    report::SampleSet texts{.name = file, .run = -1, .texts = {}};
    for (const JsonValue& value : items.values) {
      if (report::is_sample(value)) {
        items.faults.collect(
            [&] { std::ranges::move(report::samples_of(value), std::back_inserter(texts.texts)); });
      } else if (items.values.size() == 1 || names_a_report(value)) {
        content_.evaluations.push_back(report::evaluation_of(value, file));
      } else {
        value.fail(kExpectedInput);
      }
    }
    if (!texts.texts.empty()) content_.samples.push_back(std::move(texts));
    for (const std::string& fault : items.faults.texts()) {
      content_.notes.push_back(fault + " It was left out.");
    }
  }

  static bool names_a_report(const JsonValue& value) {
    return value.is_object() && (value.contains("kind") || value.contains("sides"));
  }

  report::PageContent& content_;
};

bool has_nothing(const report::PageContent& content) {
  return content.evaluations.empty() && content.samples.empty() &&
         std::ranges::all_of(content.runs, [](const report::RunRecord& run) {
           return run.metrics.empty() && run.settings.empty() && run.samples.empty();
         });
}

void name_all(report::PageContent& content) {
  report::name_runs(content.runs);
  std::vector<std::string> files;
  for (const report::SampleSet& set : content.samples) files.push_back(set.name);
  const std::vector<std::string> names = report::short_names(files);
  for (size_t i = 0; i < names.size(); ++i) content.samples[i].name = names[i];
}

std::string title_of(const report::PageContent& content) {
  constexpr size_t kMostNames = 4;
  std::vector<std::string> names;
  for (const report::RunRecord& run : content.runs) names.push_back(run.name);
  if (names.empty()) return "cpx report";
  const size_t num_shown = std::min(names.size(), kMostNames);
  const std::string more =
      num_shown < names.size() ? fmt::format(" and {} more", names.size() - num_shown) : "";
  names.resize(num_shown);
  return fmt::format("{}{}", fmt::join(names, ", "), more);
}

// Facts that the command line gives replace those of the same name.
void add_facts(report::PageContent& content, const std::vector<std::string>& facts) {
  for (const std::string& fact : facts) {
    const size_t equals = fact.find('=');
    const std::string name = fact.substr(0, equals);
    for (report::RunRecord& run : content.runs) {
      const auto found = std::ranges::find(run.facts, name, &report::NamedText::name);
      if (found == run.facts.end()) {
        run.facts.push_back({.name = name, .text = fact.substr(equals + 1)});
      } else {
        found->text = fact.substr(equals + 1);
      }
    }
  }
}

void warn_of_notes(const report::PageContent& content) {
  for (const report::RunRecord& run : content.runs) {
    for (const std::string& note : run.notes) log_warning("{}", note);
  }
  for (const std::string& note : content.notes) log_warning("{}", note);
}

report::PageContent read_inputs(const ReportCommand& command) {
  report::PageContent content;
  content.max_prompts = command.max_prompts;
  InputReader reader(content);
  for (const std::string& input : command.inputs) reader.read(input);
  warn_of_notes(content);
  if (has_nothing(content)) {
    throw_<DataError>(
        "[--output] nothing to show: got {} without figures, settings or texts, expected a run "
        "that has begun, or a report.",
        counted(std::ssize(command.inputs), "input"));
  }
  name_all(content);
  for (report::RunRecord& run : content.runs) add_data_counts(run);
  add_facts(content, command.facts);
  content.title = command.title.empty() ? title_of(content) : command.title;
  return content;
}

}  // namespace

int run_report(const ReportCommand& command) {
  check_outputs(command);
  const report::PageContent content = read_inputs(command);
  const std::string page = report::page_html(content);
  write_file_atomically(command.output, page);
  if (is_standard_output(command.output)) return kDone;
  constexpr size_t kKib = 1024;
  std::cout << fmt::format("{}: {}, {}, {}, {} KiB\n", command.output.string(),
                           counted(std::ssize(content.runs), "run"),
                           counted(std::ssize(content.evaluations), "report"),
                           counted(std::ssize(content.samples), "file of texts", "files of texts"),
                           (page.size() + kKib - 1) / kKib);
  return kDone;
}

}  // namespace cpx::recipes
