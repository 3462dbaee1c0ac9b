// SPDX-License-Identifier: Apache-2.0
// cpx-paraphrase: contrast shards from input texts.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/recipes/paraphrase.h"
#include "decoding_flags.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-paraphrase --model models/SmolLM2-135M-Instruct.Q4_1.gguf --input messages.txt\n"
    "      --template-neutral data/demo/templates/courteous.txt\n"
    "      --template-toxic data/demo/templates/rude.txt --form chat --output shard.json\n"
    "                                            both sides, by an instructed model\n"
    "  cpx-paraphrase --model M --input 'prompts/neutral_*.txt' --lower-case --output shard.json\n"
    "                                            the published prompts and cleaning\n"
    "  ... --polarity toxic --model BASE --input shard.json --output both.json\n"
    "                                            hard negatives by another model\n"
    "The same command goes on where it was interrupted.";

void add_flags(CLI::App& app, cpx::recipes::ParaphraseCommand& command) {
  cpx::tools::add_decoding_flags(app, command.decoding);
  add_path_option(app, "--input", command.inputs,
                  "Texts: .txt (one a line, or the published lists), .json, .jsonl or shards; "
                  "patterns and several are allowed");
  app.add_option("--limit", command.limit, "At most so many texts of each file (0: all)")
      ->capture_default_str();
  app.add_option("--polarity", command.polarity, "neutral, toxic or both")->capture_default_str();
  add_path_option(app, "--template-neutral", command.neutral_template,
                  "What is asked for a neutral paraphrase: a file with {input}, or "
                  "published-neutral")
      ->capture_default_str();
  add_path_option(app, "--template-toxic", command.toxic_template,
                  "What is asked for a toxic one: a file with {input}, or published-toxic")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--template",
         [&command](const std::string& name) {
           command.neutral_template = command.toxic_template = name;
         },
         "The same for a --polarity of one side")
      ->transform(cpx::tools::path_of_flag);
  app.add_option("--form", command.decoding.prompt_form,
                 "How the model is asked: plain, chat, llama2, tulu; auto: chat where it has a "
                 "template")
      ->capture_default_str();
  app.add_option("--keep", command.candidates.keep, "Best by ROUGE-L against the input")
      ->capture_default_str();
  app.add_flag("--lower-case", command.candidates.lower_case,
               "Texts in lower case (published: yes)");
  app.add_flag("--stemmer", command.candidates.use_stemmer,
               "ROUGE-L by word stems (published: no)");
  app.add_option("--cut-at", command.candidates.headers,
                 "An answer ends before this text (may be given again)")
      ->capture_default_str();
  add_path_option(
      app, "--output", command.output,
      "The shard: .json (a list) or .jsonl; or a folder (there, or NAME/) for a shard a "
      "group, neutral_<group>.json");
  app.add_flag("--overwrite", command.overwrite, "Begin anew where the output is there already");
}

// A template for a side that is not asked for, or that --template gives already.
void check_templates(const CLI::App& app, const cpx::recipes::ParaphraseCommand& command,
                     cpx::Faults& faults) {
  cpx::tools::FlagEffects effects(app, faults);
  const bool has_template = effects.is_given("--template");
  if (has_template && command.polarity == "both") {
    faults.add_at("command line", "--template",
                  "got --polarity both, expected neutral or toxic beside it (or --template-neutral "
                  "and --template-toxic).");
    return;
  }
  const std::string reason = fmt::format("with --polarity {}", command.polarity);
  if (command.polarity == "neutral") effects.warn({"--template-toxic"}, reason);
  if (command.polarity == "toxic") effects.warn({"--template-neutral"}, reason);
  if (has_template && command.polarity == "neutral") {
    effects.refuse({"--template-neutral"}, "beside --template");
  }
  if (has_template && command.polarity == "toxic") {
    effects.refuse({"--template-toxic"}, "beside --template");
  }
}

void check_flags(const CLI::App& app, const cpx::recipes::ParaphraseCommand& command) {
  cpx::Faults faults;
  cpx::tools::check_decoding_flags(app, command.decoding, "--form", faults);
  if (command.inputs.empty()) {
    faults.add_at("command line", "--input", "got nothing, expected a file of texts.");
  }
  if (command.output.empty()) {
    faults.add_at("command line", "--output", "got nothing, expected a .json, .jsonl or folder.");
  }
  constexpr std::string_view kPolarities[] = {"neutral", "toxic", "both"};
  if (std::find(std::begin(kPolarities), std::end(kPolarities), command.polarity) ==
      std::end(kPolarities)) {
    faults.add_at("command line", "--polarity", "got '{}', expected neutral, toxic or both.",
                  command.polarity);
  }
  check_templates(app, command, faults);
  if (command.limit < 0) {
    faults.add_at("command line", "--limit", "got {}, expected 0 (all) or more.", command.limit);
  }
  if (std::ranges::find(command.candidates.headers, "") != command.candidates.headers.end()) {
    faults.add_at("command line", "--cut-at", "got an empty text, expected one to cut at.");
  }
  if (command.candidates.keep < 1 || command.candidates.keep > command.decoding.samples) {
    faults.add_at("command line", "--keep", "got {}, expected 1 to --samples ({}).",
                  command.candidates.keep, command.decoding.samples);
  }
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::ParaphraseCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-paraphrase",
      .description =
          "Contrast shards from input texts: paraphrases and hard negatives, sampled from a model, "
          "cleaned and ranked by ROUGE-L.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.decoding.device = flags.device;
            return cpx::recipes::run_paraphrase(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
