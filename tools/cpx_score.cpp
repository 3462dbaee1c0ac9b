// SPDX-License-Identifier: Apache-2.0
// cpx-score: a classifier's scores for texts and shards.
#include "cpx/core/faults.h"
#include "cpx/recipes/score.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-score --model models/toxigen_roberta --input texts.txt --output scored.jsonl\n"
    "                                                  texts, one a line: adds score\n"
    "  ... --input answers.jsonl --key answer --output scored.jsonl\n"
    "                                                  another key than text\n"
    "  ... --input texts.jsonl --label hate --raw --output scored.jsonl\n"
    "                                                  another label; logits\n"
    "  ... --input texts.jsonl --labels toxicity,insult --output scored.jsonl\n"
    "                                                  several: score_toxicity, score_insult\n"
    "  ... --input shard.json --output scored.json     adds paraphrases_toxigenscore and\n"
    "                                                  paraphrases_toxic_toxigenscore\n"
    "  ... --input shard.json --keep-below 0.5 --keep-above 0.5 --output clean.json\n"
    "                                                  texts on the wrong side are dropped\n"
    "  ... --input 'shards/*.json' --output clean/     a shard a group: neutral_<group>.json\n"
    "The same command goes on where it was interrupted.";

void add_flags(CLI::App& app, cpx::recipes::ScoreCommand& command) {
  add_path_option(app, "--model", command.model,
                  "Hugging Face folder of a classifier: BERT, DistilBERT, RoBERTa, XLM-RoBERTa, "
                  "LLaMA or Mistral (...ForSequenceClassification)");
  add_path_option(app, "--input", command.inputs,
                  "A text a line, or JSON (objects in a list, or an object a line); patterns and "
                  "several are allowed");
  add_path_option(
      app, "--output", command.output,
      "JSONL, or a list where the first input is one; or a folder (there, or NAME/) for "
      "a shard a group, neutral_<group>.json. -: standard output");
  app.add_flag("--overwrite", command.overwrite, "Begin anew where other settings were begun with");
  app.add_option("--key", command.keys,
                 "Key of the texts, may be repeated (default: text, or a shard's paraphrases and "
                 "paraphrases_toxic)");
  app.add_option("--label", command.label, "Label whose score is written: its name or index")
      ->capture_default_str();
  app.add_option(
         "--labels", command.labels,
         "Several labels, by names or indices with commas between: the scores of each go to "
         "a key of its own, score_LABEL (KEY_score_LABEL for a list of texts)")
      ->delimiter(',');
  app.add_flag("--raw", command.is_raw, "Write logits instead of probabilities");
  app.add_option("--keep-below", command.keep_below,
                 "Keep only paraphrases with P(label) below this");
  app.add_option("--keep-above", command.keep_above,
                 "Keep only paraphrases_toxic with P(label) above this");
  app.add_option("--min-texts", command.min_texts,
                 "Leave out records that keep fewer texts than this under a filtered key")
      ->capture_default_str();
  app.add_option("--batch-tokens", command.batch_tokens, "Tokens computed at once")
      ->capture_default_str();
}

void check_flags(const CLI::App& app, const cpx::recipes::ScoreCommand& command) {
  cpx::Faults faults;
  const auto require = [&](const char* flag, bool is_given, const char* expected) {
    if (!is_given) faults.add_at("command line", flag, "got nothing, expected {}.", expected);
  };
  require("--model", !command.model.empty(), "a Hugging Face folder of a classifier");
  require("--input", !command.inputs.empty(), "a file of texts");
  require("--output", !command.output.empty(), "a file to write");
  const auto check_probability = [&](const char* flag, const std::optional<double>& value) {
    if (!value || (*value >= 0.0 && *value <= 1.0)) return;
    faults.add_at("command line", flag, "got {}, expected a probability from 0 to 1.", *value);
  };
  check_probability("--keep-below", command.keep_below);
  check_probability("--keep-above", command.keep_above);
  cpx::tools::check_at_least("--min-texts", command.min_texts, 1, faults);
  cpx::tools::check_at_least("--batch-tokens", command.batch_tokens, 1, faults);
  if (!command.labels.empty()) {
    const auto refuse_beside = [&](const char* flag) {
      if (app.count(flag) == 0) return;
      faults.add_at("command line", "--labels",
                    "got {} beside {}, expected one of them: {} is about one label.",
                    command.labels.size(), flag, flag);
    };
    for (const char* flag : {"--label", "--keep-below", "--keep-above"}) refuse_beside(flag);
  }
  if (!command.keep_below && !command.keep_above) {
    cpx::tools::FlagEffects(app, faults)
        .refuse({"--min-texts"}, "without --keep-below or --keep-above: no text is dropped");
  }
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::ScoreCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-score",
      .description =
          "Scores texts with a classifier, and drops the texts of shards that it finds on "
          "the wrong side.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.device = flags.device;
            return cpx::recipes::run_score(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
