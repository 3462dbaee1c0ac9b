// SPDX-License-Identifier: Apache-2.0
// cpx-eval-rewrite: how toxic and how similar a model's rewritings of toxic texts are.
#include <algorithm>

#include "cpx/core/faults.h"
#include "cpx/recipes/eval_rewrite.h"
#include "decoding_flags.h"
#include "flag_effects.h"
#include "path_option.h"
#include "text_scoring_flags.h"

namespace {

using cpx::recipes::EvalRewriteCommand;
using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-rewrite --model MODEL --compare runs/demo/best --shards 'data/heldout/*.json'\n"
    "      --scorer models/toxigen_roberta --encoder models/minilm --output runs/rewrite/\n"
    "                                     base and adapter rewrite the shards' toxic texts\n"
    "  ... --input rude.txt --template polite.txt --form chat\n"
    "                                     texts a line, and a request of your own\n"
    "The same command goes on where it was interrupted.";

void add_flags(CLI::App& app, EvalRewriteCommand& command) {
  cpx::tools::add_decoding_flags(app, command.decoding);
  add_path_option(app, "--compare", command.compare,
                  "Other PEFT folders: base (or --adapter) and these side by side");
  add_path_option(
      app, "--input", command.inputs,
      "Texts to rewrite: a text a line, or JSON (texts, or objects with input or text); "
      "patterns and several are allowed");
  add_path_option(app, "--shards", command.shards, "Shards whose toxic texts are rewritten");
  app.add_option("--limit", command.limit, "So many texts, drawn by --seed (0: all)")
      ->capture_default_str();
  add_path_option(app, "--template", command.request,
                  "What is asked: a file with {input}, or published-neutral")
      ->capture_default_str();
  app.add_option("--form", command.decoding.prompt_form,
                 "How the model is asked: plain, chat, llama2, tulu; auto: chat where it has a "
                 "template")
      ->capture_default_str();
  app.add_option("--cut-at", command.cut_at, "An answer ends before this text (may be given again)")
      ->capture_default_str();
  cpx::tools::add_scoring_flags(app, cpx::tools::scoring_targets(command));
  add_path_option(app, "--encoder", command.encoder,
                  "Hugging Face folder of a sentence encoder, for the similarity of input and "
                  "rewriting");
  cpx::tools::add_evaluation_outputs(app, command.output, command.report, command.overwrite);
}

void check_flags(const CLI::App& app, EvalRewriteCommand& command) {
  cpx::Faults faults;
  cpx::tools::check_decoding_flags(app, command.decoding, "--form", faults);
  if (command.inputs.empty() && command.shards.empty()) {
    faults.add_at("command line", "--input",
                  "got nothing, expected a file of texts to rewrite (or --shards).");
  }
  if (!command.output) {
    faults.add_at("command line", "--output", "got nothing, expected a .jsonl or a folder.");
  }
  if (command.encoder.empty()) {
    faults.add_at("command line", "--encoder",
                  "got nothing, expected the folder of a sentence encoder.");
  }
  if (std::ranges::find(command.cut_at, "") != command.cut_at.end()) {
    faults.add_at("command line", "--cut-at", "got an empty text, expected one to cut at.");
  }
  cpx::tools::check_scoring_flags(cpx::tools::scoring_targets(command), faults);
  cpx::tools::check_at_least("--limit", command.limit, 0, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  return cpx::tools::decoding_main<EvalRewriteCommand>(
      {.name = "cpx-eval-rewrite",
       .description =
           "Rewritings of toxic texts: their toxicity by classifiers, and their similarity to the "
           "input, beside a copy and an empty answer.",
       .examples = kExamples},
      EvalRewriteCommand{}, {add_flags, check_flags, cpx::recipes::run_eval_rewrite}, argc, argv);
}
