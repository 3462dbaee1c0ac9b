// SPDX-License-Identifier: Apache-2.0
// cpx-eval-choice: choice tasks and rolling perplexity.
#include "cpx/core/faults.h"
#include "cpx/recipes/eval_choice.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-choice --model models/SmolLM2-135M-Instruct.Q4_1.gguf \\\n"
    "      --task hellaswag=hellaswag.jsonl --task piqa=piqa.jsonl       a table\n"
    "  ... --compare runs/demo/best --report report.json           base and adapter; JSON too\n"
    "  ... --task mmlu=data --shots 5                              MMLU's folders test/ and dev/\n"
    "  ... --task arc_challenge=test.jsonl --shots 25 --shots-from train.jsonl\n"
    "  ... --task wikitext=wiki.test.raw                           rolling perplexity\n"
    "  ... --task piqa=piqa.jsonl --items items.jsonl              every log-likelihood\n"
    "The same command with --items goes on where it was interrupted.";

void add_model_flags(CLI::App& app, cpx::recipes::EvalChoiceCommand& command) {
  add_path_option(app, "--model", command.model, "Hugging Face folder or .gguf");
  add_path_option(app, "--adapter", command.adapter, "PEFT LoRA folder");
  add_path_option(app, "--compare", command.compare,
                  "Other PEFT folders: base (or --adapter) and these side by side");
  app.add_option("--bos", command.bos,
                 "BOS in front of texts: auto (as the tokenizer has it), on or off")
      ->capture_default_str();
  app.add_flag("--leave-out-bos", command.leaves_out_bos,
               "Rolling perplexity: do not score the BOS that the tokenizer adds");
  app.add_option("--max-length", command.max_length,
                 "Tokens that the model reads at once; longer requests lose their beginning (0: "
                 "the model's own length)")
      ->capture_default_str();
  app.add_option("--batch-tokens", command.batch_tokens,
                 "Tokens computed at once, shared ones counted once")
      ->capture_default_str();
  app.add_option(
         "--weights", command.weights,
         "In memory: dense, or as in cpx-generate auto (a quantised GGUF as it is), q8_0 or "
         "q4_0")
      ->capture_default_str();
  app.add_option("--dtype", command.dtype,
                 "Of the computation: auto, float32 (with quantised weights always), bfloat16 or "
                 "float16")
      ->capture_default_str();
}

void add_flags(CLI::App& app, cpx::recipes::EvalChoiceCommand& command) {
  app.add_option("--task", command.tasks,
                 "NAME=FILE or NAME=FOLDER, may be repeated. Names: " +
                     cpx::recipes::choice_task_names() + ", and mmlu_SUBJECT");
  app.add_option("--shots", command.shots, "Examples in front of each question")
      ->capture_default_str();
  app.add_option("--shots-from", command.shots_from,
                 "NAME=FILE (FILE beside one task) that examples are taken from: the training "
                 "split, MMLU's dev");
  app.add_option("--limit", command.limit,
                 "Only the first documents of each task, of each subject of MMLU (0: all)")
      ->capture_default_str();
  add_model_flags(app, command);
  add_path_option(app, "--items", command.items,
                  "Write JSONL, a line a document: log-likelihoods, greedy, gold, correct");
  app.add_flag("--overwrite", command.overwrite,
               "Begin --items anew where other settings were "
               "begun with");
  add_path_option(app, "--report", command.report,
                  "Write the report as JSON to this file (-: standard output)");
  add_path_option(app, "--dump-requests", command.dump_requests,
                  "Only write the texts that would be scored (JSONL); needs no model");
}

void check_flags(const CLI::App& app, const cpx::recipes::EvalChoiceCommand& command) {
  cpx::Faults faults;
  cpx::tools::FlagEffects effects(app, faults);
  if (command.model.empty() && !command.dump_requests) {
    faults.add_at("command line", "--model",
                  "got nothing, expected a Hugging Face folder or a .gguf.");
  }
  if (command.tasks.empty()) {
    faults.add_at("command line", "--task", "got nothing, expected NAME=FILE or NAME=FOLDER.");
  }
  if (command.shots == 0) effects.refuse({"--shots-from"}, "without --shots");
  if (!command.items) effects.refuse({"--overwrite"}, "without --items");
  if (command.dump_requests) {
    effects.refuse({"--items", "--report"}, "with --dump-requests: nothing is scored");
  }
  cpx::tools::check_at_least("--shots", command.shots, 0, faults);
  cpx::tools::check_at_least("--limit", command.limit, 0, faults);
  cpx::tools::check_at_least("--max-length", command.max_length, 0, faults);
  cpx::tools::check_at_least("--batch-tokens", command.batch_tokens, 1, faults);
  faults.throw_if_any();
}

int run(cpx::recipes::EvalChoiceCommand& command, const cpx::tools::CommonFlags& flags) {
  command.device = flags.device;
  return cpx::recipes::run_eval_choice(command);
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::EvalChoiceCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-eval-choice",
      .description =
          "Accuracy on choice tasks and rolling perplexity, as in lm-evaluation-harness 0.4.13, "
          "from local files.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run = [&](const cpx::tools::CommonFlags& flags) { return run(command, flags); }};
  return cpx::tools::tool_main(tool, argc, argv);
}
