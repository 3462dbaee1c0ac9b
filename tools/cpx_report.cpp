// SPDX-License-Identifier: Apache-2.0
// cpx-report: one HTML page from runs and evaluations.
#include "cpx/core/faults.h"
#include "cpx/recipes/report.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-report runs/demo --output demo.html                   curves, settings, facts of a run\n"
    "  cpx-report runs/a runs/b --output both.html               two runs over each other\n"
    "  cpx-report runs/demo base.json tuned.json --output demo.html\n"
    "                                                            with before and after, from the\n"
    "                                                            reports of the cpx-eval tools\n"
    "  ... continuations.jsonl ...                               texts of cpx-generate --output "
    "too\n"
    "  ... --fact 'Machine=2 cores of an AMD EPYC' ...           what no run folder says";

void add_flags(CLI::App& app, cpx::recipes::ReportCommand& command) {
  add_path_option(app, "inputs", command.inputs,
                  "Run folders of cpx-train; JSON reports of the cpx-eval tools; JSONL of texts "
                  "with prompts");
  add_path_option(app, "--output", command.output, "The page (-: standard output)");
  app.add_option("--title", command.title, "Title of the page (default: the names of the runs)");
  app.add_option("--fact", command.facts,
                 "NAME=TEXT: a fact for the model card, may be repeated; replaces one of that name")
      ->allow_extra_args(false);
  app.add_option("--prompts", command.max_prompts, "Most prompts whose texts are shown")
      ->capture_default_str();
}

void check_flags(const CLI::App& /*app*/, const cpx::recipes::ReportCommand& command) {
  cpx::Faults faults;
  if (command.inputs.empty()) {
    faults.add("command line",
               "nothing to show: got no input, expected run folders of cpx-train or reports of the "
               "cpx-eval tools.");
  }
  if (command.output.empty()) {
    faults.add_at("command line", "--output", "got nothing, expected a file to write.");
  }
  for (const std::string& fact : command.facts) {
    if (fact.find('=') != std::string::npos && fact.front() != '=') continue;
    faults.add_at("command line", "--fact", "got '{}', expected NAME=TEXT.", fact);
  }
  cpx::tools::check_at_least("--prompts", command.max_prompts, 1, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::ReportCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-report",
      .description =
          "Writes one HTML page about runs and evaluations: curves, before and after, "
          "texts, settings. The page loads nothing from elsewhere.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run = [&](const cpx::tools::CommonFlags&) { return cpx::recipes::run_report(command); }};
  return cpx::tools::tool_main(tool, argc, argv);
}
