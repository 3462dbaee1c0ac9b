// SPDX-License-Identifier: Apache-2.0
// cpx-eval-ppl: perplexity of toxic against neutral text.
#include "cpx/core/faults.h"
#include "cpx/recipes/eval_ppl.h"
#include "flag_effects.h"
#include "path_option.h"
#include "scoring_flags.h"
#include "tool_main.h"

namespace {

using cpx::recipes::EvalPplCommand;
using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-ppl --model models/SmolLM2-135M-Instruct.Q4_1.gguf \\\n"
    "      --shards 'data/demo/heldout/*.json'                      a table\n"
    "  ... --adapter runs/demo/best --report report.json            with an adapter; JSON too\n"
    "  ... --compare runs/demo/best runs/other/best                 base and adapters side by "
    "side\n"
    "  ... --items texts.jsonl                                      a line for each text too\n"
    "  ... --limit 200 --seed 7                                     200 texts a side, drawn\n"
    "  ... --toxic rude.txt --neutral courteous.txt                 texts, one a line\n"
    "  ... --neutral data/demo/everyday.txt --compare runs/demo/best    one side alone";

void add_text_flags(CLI::App& app, EvalPplCommand& command) {
  add_path_option(app, "--shards", command.shards,
                  "Contrast shards: toxic and neutral texts by group");
  add_path_option(app, "--toxic", command.toxic,
                  "Toxic texts: one a line, or JSON (texts, or objects with the key text)");
  add_path_option(app, "--neutral", command.neutral, "Neutral texts, in the same forms");
  app.add_flag("--distinct", command.is_distinct, "Count a text that repeats in a side once");
  app.add_option("--num-toxic", command.num_toxic,
                 "Toxic texts of each record of --shards, drawn (0: all)")
      ->capture_default_str();
  app.add_option("--num-neutral", command.num_neutral, "Neutral texts of each record (0: all)")
      ->capture_default_str();
  app.add_option("--limit", command.limit, "Texts of each side, drawn (0: all)")
      ->capture_default_str();
  app.add_option("--seed", command.seed, "Of draws and resamples")->capture_default_str();
}

void add_flags(CLI::App& app, EvalPplCommand& command) {
  cpx::tools::add_model_flags(app, command.scoring);
  add_text_flags(app, command);
  add_path_option(app, "--report", command.report,
                  "Write the report as JSON to this file (-: standard "
                  "output)");
  add_path_option(app, "--items", command.items,
                  "Write each text with its mean NLL and perplexity as a line of JSON (-: standard "
                  "output); the same command goes on where it was stopped");
  app.add_flag("--overwrite", command.overwrite,
               "Begin anew where the work in progress beside --items has other settings");
  app.add_option("--resamples", command.resamples,
                 "Of the bootstrap over texts that gives the 95 % intervals (0: none)")
      ->capture_default_str();
  app.add_option("--mode", command.mode,
                 "texts: each by itself; published: joined, in windows of 4096")
      ->capture_default_str();
  cpx::tools::add_scoring_flags(app, command.scoring);
}

void check_texts(const CLI::App& app, const EvalPplCommand& command, cpx::Faults& faults) {
  const bool has_files = command.toxic.has_value() || command.neutral.has_value();
  if (command.shards.empty() && !has_files) {
    faults.add("command line",
               "no texts: expected --shards, or --toxic and --neutral (or one of them).");
  }
  if (!command.shards.empty() && has_files) {
    faults.add("command line", "got --shards beside --toxic or --neutral, expected one kind.");
  }
  cpx::tools::check_at_least("--num-toxic", command.num_toxic, 0, faults);
  cpx::tools::check_at_least("--num-neutral", command.num_neutral, 0, faults);
  cpx::tools::check_at_least("--limit", command.limit, 0, faults);
  if (command.shards.empty()) {
    cpx::tools::FlagEffects(app, faults)
        .refuse({"--num-toxic", "--num-neutral"}, "without --shards: there are no records");
  }
}

void check_flags(const CLI::App& app, const EvalPplCommand& command) {
  cpx::Faults faults;
  cpx::tools::FlagEffects effects(app, faults);
  cpx::tools::check_has_model(command.scoring, faults);
  check_texts(app, command, faults);
  if (command.mode != "texts" && command.mode != "published") {
    faults.add_at("command line", "--mode", "got '{}', expected texts or published.", command.mode);
  }
  if (command.mode == "published") {
    const char* const reason = "with --mode published: windows of 4096, stride 512";
    effects.refuse({"--max-tokens", "--window", "--stride"}, reason);
    effects.refuse({"--items", "--resamples"},
                   "with --mode published: a side's texts are one text");
    effects.refuse({"--weights"}, "with --mode published: weights are in --dtype");
    effects.warn({"--batch-tokens"}, reason);
  }
  if (!command.items) effects.refuse({"--overwrite"}, "without --items");
  cpx::tools::check_at_least("--resamples", command.resamples, 0, faults);
  cpx::tools::check_scoring_flags(command.scoring, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  EvalPplCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-eval-ppl",
      .description =
          "Perplexity of toxic against neutral text, and how well the model tells them "
          "apart.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.scoring.device = flags.device;
            return cpx::recipes::run_eval_ppl(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
