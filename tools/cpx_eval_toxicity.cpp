// SPDX-License-Identifier: Apache-2.0
// cpx-eval-toxicity: how toxic what a model writes after prompts is.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/recipes/eval_toxicity.h"
#include "decoding_flags.h"
#include "flag_effects.h"
#include "path_option.h"
#include "text_scoring_flags.h"

namespace {

using cpx::recipes::EvalToxicityCommand;
using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-toxicity --model MODEL --prompts prompts.jsonl --subset non_toxic --limit 1000\n"
    "      --scorer models/toxigen_roberta --output runs/rtp/ --report rtp.json\n"
    "                                            RealToxicityPrompts: 25 continuations a prompt\n"
    "  ... --compare runs/demo/best              base and adapter on the same prompts and seeds\n"
    "  ... --scorer A --scorer B --label toxic --label hate     two classifiers\n"
    "  ... --preset toxigen --prompts 'prompts/hate_*.txt'      ToxiGen's prompts, by group\n"
    "  ... --at 5 --at 10                        what 5 and 10 continuations would give\n"
    "  cpx-eval-toxicity --continuations base.jsonl tuned.jsonl --scorer A\n"
    "                                            texts that are there, without a model\n"
    "The same command goes on where it was interrupted.";

// Flags of the decoding, which have no effect on continuations that are there.
constexpr std::array kDecodingFlags = {"--adapter",
                                       "--compare",
                                       "--prompts",
                                       "--subset",
                                       "--limit",
                                       "--system",
                                       "--chat-template",
                                       "--samples",
                                       "--temperature",
                                       "--top-k",
                                       "--top-p",
                                       "--min-p",
                                       "--stop",
                                       "--repetition-penalty",
                                       "--no-repeat-ngram",
                                       "--penalty-alpha",
                                       "--min-new-tokens",
                                       "--max-new-tokens",
                                       "--seed",
                                       "--batch",
                                       "--weights",
                                       "--form"};

void add_prompt_flags(CLI::App& app, EvalToxicityCommand& command) {
  app.add_option("--preset", command.preset,
                 "Settings of a published evaluation: rtp (RealToxicityPrompts), toxigen or "
                 "replication; other flags take precedence")
      ->capture_default_str();
  add_path_option(
      app, "--prompts", command.prompts,
      "Prompts: RealToxicityPrompts, ToxiGen's files, shards (their inputs), a prompt a "
      "line; patterns and several are allowed");
  app.add_option("--subset", command.subset,
                 "Only these prompts: toxic, non_toxic, challenging, hate or neutral");
  app.add_option("--limit", command.limit, "So many prompts, drawn by --seed (0: all)")
      ->capture_default_str();
  add_path_option(app, "--continuations", command.continuations,
                  "JSONL of prompt and text to score in place of new texts, a file a model");
  add_path_option(app, "--compare", command.compare,
                  "Other PEFT folders: base (or --adapter) and these side by side");
  app.add_option(
         "--form", command.decoding.prompt_form,
         "How the model sees a prompt: plain, chat, llama2, tulu; auto: chat where it has a "
         "template")
      ->capture_default_str();
}

void add_text_flags(CLI::App& app, EvalToxicityCommand& command) {
  app.add_flag("--clean-up-spaces,!--keep-spaces", command.clean_up_spaces,
               "Score texts without the spaces before punctuation (rtp: yes)");
  app.add_option("--max-characters", command.max_characters,
                 "Score only so many characters of a text (0: all)")
      ->capture_default_str();
  app.add_option("--at", command.at,
                 "Figures for so many continuations of those drawn, exactly (may be given again)");
  add_path_option(app, "--fluency-model", command.fluency_model,
                  "Model of the continuations' perplexity (default: --model without an adapter; "
                  "none: no perplexity)");
}

void add_flags(CLI::App& app, EvalToxicityCommand& command) {
  cpx::tools::add_decoding_flags(app, command.decoding);
  add_prompt_flags(app, command);
  cpx::tools::add_scoring_flags(app, cpx::tools::scoring_targets(command));
  add_text_flags(app, command);
  cpx::tools::add_evaluation_outputs(app, command.output, command.report, command.overwrite);
}

// Puts the values of the preset where no flag was given.
void apply_preset(const CLI::App& app, EvalToxicityCommand& command) {
  const EvalToxicityCommand preset = cpx::recipes::toxicity_preset(command.preset);
  const auto take = [&](const char* flag, auto& value, const auto& of_preset) {
    if (app.count(flag) == 0) value = of_preset;
  };
  auto& sampling = command.decoding.sampling;
  const auto& usual = preset.decoding.sampling;
  take("--samples", command.decoding.samples, preset.decoding.samples);
  take("--form", command.decoding.prompt_form, preset.decoding.prompt_form);
  take("--temperature", sampling.temperature, usual.temperature);
  take("--top-k", sampling.top_k, usual.top_k);
  take("--top-p", sampling.top_p, usual.top_p);
  take("--min-p", sampling.min_p, usual.min_p);
  take("--repetition-penalty", sampling.repetition_penalty, usual.repetition_penalty);
  take("--no-repeat-ngram", sampling.no_repeat_ngram, usual.no_repeat_ngram);
  take("--max-new-tokens", sampling.max_new_tokens, usual.max_new_tokens);
  take("--limit", command.limit, preset.limit);
  take("--threshold", command.rule.threshold, preset.rule.threshold);
  take("--clean-up-spaces", command.clean_up_spaces, preset.clean_up_spaces);
  take("--max-characters", command.max_characters, preset.max_characters);
}

void check_prompts(const CLI::App& app, const EvalToxicityCommand& command, cpx::Faults& faults) {
  cpx::tools::FlagEffects effects(app, faults);
  if (!command.continuations.empty()) {
    for (const char* flag : kDecodingFlags) {
      effects.refuse({flag}, "beside --continuations: no model writes");
    }
    return;
  }
  cpx::tools::check_decoding_flags(app, command.decoding, "--form", faults);
  if (command.prompts.empty()) {
    faults.add_at("command line", "--prompts",
                  "got nothing, expected a file of prompts (or --continuations).");
  }
  if (!command.output) {
    faults.add_at("command line", "--output", "got nothing, expected a .jsonl or a folder.");
  }
  for (const int64_t k : command.at) {
    if (k <= command.decoding.samples) continue;
    faults.add_at("command line", "--at", "got {}, expected 1 to --samples ({}).", k,
                  command.decoding.samples);
  }
}

void check_choices(EvalToxicityCommand& command, cpx::Faults& faults) {
  constexpr std::array<std::string_view, 6> kSubsets = {"",     "toxic",   "non_toxic",
                                                        "hate", "neutral", "challenging"};
  if (std::ranges::find(kSubsets, command.subset) == kSubsets.end()) {
    faults.add_at("command line", "--subset",
                  "got '{}', expected toxic, non_toxic, challenging, hate or neutral.",
                  command.subset);
  }
  cpx::tools::check_scoring_flags(cpx::tools::scoring_targets(command), faults);
  for (const int64_t k : command.at) cpx::tools::check_at_least("--at", k, 1, faults);
  cpx::tools::check_at_least("--limit", command.limit, 0, faults);
  cpx::tools::check_at_least("--max-characters", command.max_characters, 0, faults);
}

void check_flags(const CLI::App& app, EvalToxicityCommand& command) {
  apply_preset(app, command);
  cpx::Faults faults;
  check_prompts(app, command, faults);
  check_choices(command, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  return cpx::tools::decoding_main<EvalToxicityCommand>(
      {.name = "cpx-eval-toxicity",
       .description =
           "Toxicity of what a model writes after prompts, by classifiers, with its fluency and "
           "variety.",
       .examples = kExamples},
      cpx::recipes::toxicity_preset("rtp"),
      {add_flags, check_flags, cpx::recipes::run_eval_toxicity}, argc, argv);
}
