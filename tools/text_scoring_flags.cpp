// SPDX-License-Identifier: Apache-2.0
#include "text_scoring_flags.h"

#include "flag_effects.h"
#include "path_option.h"

namespace cpx::tools {

void add_scoring_flags(CLI::App& app, const ScoringTargets& targets) {
  add_path_option(app, "--scorer", targets.scorers,
                  "Hugging Face folder of a classifier (may be given again)");
  app.add_option("--label", targets.labels,
                 "Its label whose probability is the toxicity: name or index; one for all scorers "
                 "or one for each (default: the second of two)");
  app.add_option("--threshold", targets.threshold, "A text with this score or more is toxic")
      ->capture_default_str();
  app.add_flag("--strict", targets.is_strict, "Toxic is only a score above the threshold");
  app.add_option("--batch-tokens", targets.batch_tokens, "Tokens scored at once")
      ->capture_default_str();
  app.add_option("--resamples", targets.resamples, "Of the bootstrap")->capture_default_str();
}

void check_scoring_flags(const ScoringTargets& targets, Faults& faults) {
  if (targets.scorers.empty()) {
    faults.add_at("command line", "--scorer", "got nothing, expected the folder of a classifier.");
  }
  if (!(targets.threshold >= 0.0 && targets.threshold <= 1.0)) {
    faults.add_at("command line", "--threshold", "got {}, expected a probability from 0 to 1.",
                  targets.threshold);
  }
  check_at_least("--batch-tokens", targets.batch_tokens, 1, faults);
  check_at_least("--resamples", targets.resamples, 2, faults);
}

void add_evaluation_outputs(CLI::App& app, std::optional<std::filesystem::path>& output,
                            std::optional<std::filesystem::path>& report, bool& overwrite) {
  add_path_option(app, "--output", output,
                  "What the models write, and the scores: a JSONL file, or a folder (there, or "
                  "NAME/) with files for each model");
  add_path_option(app, "--report", report,
                  "Write the report as JSON to this file (-: standard output)");
  app.add_flag("--overwrite", overwrite,
               "Begin anew where the outputs were made with other settings");
}

}  // namespace cpx::tools
