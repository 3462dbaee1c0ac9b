// SPDX-License-Identifier: Apache-2.0
// cpx-generate: text that a model writes after prompts, or in a conversation.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/recipes/generate.h"
#include "decoding_flags.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-generate --model models/SmolLM2-135M-Instruct.Q4_1.gguf --prompt 'Write a short note to "
    "a "
    "neighbour.'\n"
    "  ... --adapter runs/demo/best --compare                       base and adapter side by side\n"
    "  ... --input prompts.txt --samples 5 --output texts.jsonl     many prompts, samples of each\n"
    "  ... --temperature 0                                          greedy\n"
    "  ... --temperature 0 --penalty-alpha 0.6 --top-k 4            contrastive search\n"
    "  cpx-generate --model MODEL                                   a conversation";

void add_flags(CLI::App& app, cpx::recipes::GenerateCommand& command) {
  cpx::tools::add_decoding_flags(app, command.decoding);
  app.add_flag("--compare", command.compare, "Base and --adapter side by side");
  app.add_option("--prompt", command.prompts, "A prompt (may be given several times)");
  add_path_option(app, "--input", command.input,
                  "Prompts: one a line, or JSON (texts, or objects)");
  app.add_option("--key", command.key,
                 "Key of the prompts in objects, a.b for an object in an object (default: prompt, "
                 "prompt.text, text or input)");
  app.add_option("--template", command.decoding.prompt_form,
                 "auto (chat where the model has a template), plain, chat, llama2 or tulu")
      ->capture_default_str();
  add_path_option(app, "--output", command.output,
                  "Write JSONL to this file (-: standard output), a prompt's lines when they are "
                  "whole; the same command goes on where it was stopped");
  app.add_flag("--overwrite", command.overwrite,
               "Begin anew where the output was made with other settings");
  app.add_option("--logprobs", command.log_probs,
                 "Add the tokens' natural log-probabilities to the output: raw (the model's own), "
                 "processed (of what was drawn from) or both");
}

void check_flags(const CLI::App& app, const cpx::recipes::GenerateCommand& command) {
  cpx::Faults faults;
  cpx::tools::check_decoding_flags(app, command.decoding, "--template", faults);
  if (command.compare && !command.decoding.adapter) {
    faults.add_at("command line", "--compare", "got no --adapter, expected one beside it.");
  }
  constexpr std::string_view kLogProbs[] = {"", "raw", "processed", "both"};
  if (std::ranges::find(kLogProbs, command.log_probs) == std::end(kLogProbs)) {
    faults.add_at("command line", "--logprobs", "got '{}', expected raw, processed or both.",
                  command.log_probs);
  }
  const bool is_conversation = command.prompts.empty() && !command.input;
  if (is_conversation && (command.decoding.samples != 1 || command.output || command.compare)) {
    faults.add_at("command line", "--samples, --output or --compare",
                  "got no --prompt and no --input, expected one of them.");
  }
  if (!command.input) cpx::tools::FlagEffects(app, faults).refuse({"--key"}, "without --input");
  if (!command.output) {
    cpx::tools::FlagEffects(app, faults).refuse({"--logprobs", "--overwrite"}, "without --output");
  }
  if (is_conversation) {
    cpx::tools::FlagEffects(app, faults).warn({"--batch"}, "in a conversation: one text at a time");
  }
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::GenerateCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-generate",
      .description = "Text that a model writes after prompts, or in a conversation.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.decoding.device = flags.device;
            return cpx::recipes::run_generate(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
