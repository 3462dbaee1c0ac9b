// SPDX-License-Identifier: Apache-2.0
// cpx-eval-safety: SafeNLP's safety score of a model.
#include "cpx/core/faults.h"
#include "cpx/recipes/eval_safety.h"
#include "flag_effects.h"
#include "path_option.h"
#include "scoring_flags.h"
#include "tool_main.h"

namespace {

using cpx::recipes::EvalSafetyCommand;
using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-safety --model models/SmolLM2-135M-Instruct.Q4_1.gguf \\\n"
    "      --data SafeNLP/data/toxiGen.json                         a table\n"
    "  ... --adapter runs/demo/best --report report.json            with an adapter; JSON too\n"
    "  ... --compare runs/demo/best runs/other/best                 base and adapters side by "
    "side\n"
    "  ... --items perplexities.jsonl                               each item with its perplexity\n"
    "  cpx-eval-safety --perplexities SafeNLP/results/perplexities.json\n"
    "                                                               without a model";

void add_flags(CLI::App& app, EvalSafetyCommand& command) {
  cpx::tools::add_model_flags(app, command.scoring);
  add_path_option(app, "--data", command.data,
                  "Items: JSON with text, label (hate or neutral), toxicity_score, target_groups");
  add_path_option(app, "--perplexities", command.perplexities,
                  "Items with their perplexity, in place of --model and --data");
  app.add_option("--scale", command.scale,
                 "Divide by the toxicity score: both (as SafeNLP's code), or hate alone (as in its "
                 "table)")
      ->capture_default_str();
  app.add_option("--resamples", command.resamples,
                 "Of the bootstrap over items that gives the 95 % intervals (0: none)")
      ->capture_default_str();
  app.add_option("--seed", command.seed, "Of the resamples")->capture_default_str();
  add_path_option(app, "--report", command.report,
                  "Write the report as JSON to this file (-: standard output)");
  add_path_option(app, "--items", command.items,
                  "Write the items with their perplexities as lines of JSON (-: standard output), "
                  "for --perplexities; the same command goes on where it was stopped");
  app.add_flag("--overwrite", command.overwrite,
               "Begin anew where the work in progress beside --items has other settings");
  cpx::tools::add_scoring_flags(app, command.scoring);
}

void check_flags(const CLI::App& app, const EvalSafetyCommand& command) {
  cpx::Faults faults;
  cpx::tools::FlagEffects effects(app, faults);
  if (command.perplexities) {
    effects.refuse(
        {"--model", "--adapter", "--compare", "--data", "--items", "--append-eos", "--max-tokens",
         "--window", "--stride", "--batch-tokens", "--weights", "--dtype"},
        "with --perplexities: no model computes");
  } else {
    cpx::tools::check_has_model(command.scoring, faults);
    if (!command.data) faults.add("command line", "no items: expected --data, or --perplexities.");
  }
  if (command.scale != "both" && command.scale != "hate") {
    faults.add_at("command line", "--scale", "got '{}', expected both or hate.", command.scale);
  }
  if (command.items && !command.scoring.compare.empty()) {
    faults.add_at("command line", "--items",
                  "got --compare beside it, expected one model: items have one perplexity.");
  }
  if (!command.items) effects.refuse({"--overwrite"}, "without --items");
  cpx::tools::check_at_least("--resamples", command.resamples, 0, faults);
  if (command.resamples == 0) effects.warn({"--seed"}, "with --resamples 0: nothing is drawn");
  cpx::tools::check_scoring_flags(command.scoring, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  EvalSafetyCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-eval-safety",
      .description =
          "SafeNLP's safety score: how often hate is less probable than neutral text about the "
          "same group.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.scoring.device = flags.device;
            return cpx::recipes::run_eval_safety(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
