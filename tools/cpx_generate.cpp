// SPDX-License-Identifier: Apache-2.0
// cpx-generate: text that a model writes after prompts, or in a conversation.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "cpx/core/error.h"
#include "cpx/recipes/generate.h"
#include "tool_main.h"

namespace {

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
  auto& sampling = command.sampling;
  app.add_option("--model", command.model, "Hugging Face folder or .gguf");
  app.add_option("--adapter", command.adapter, "PEFT LoRA folder");
  app.add_flag("--compare", command.compare, "Base and --adapter side by side");
  app.add_option("--prompt", command.prompts, "A prompt (may be given several times)");
  app.add_option("--input", command.input,
                 "Prompts: .txt (one a line), .json (list), .jsonl (key text)");
  app.add_option("--template", command.prompt_template,
                 "auto (chat where the model has a template), plain, chat, llama2 or tulu")
      ->capture_default_str();
  app.add_option("--system", command.system, "A chat's first message");
  app.add_option("--samples", command.samples, "Texts a prompt")->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0: greedy")->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "Only the k likeliest tokens (0: all)")
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "Only the likeliest that reach p together (1: all)")
      ->capture_default_str();
  app.add_option("--min-p", sampling.min_p, "Only those of at least p times the likeliest's")
      ->capture_default_str();
  app.add_option("--repetition-penalty", sampling.repetition_penalty, "1: none")
      ->capture_default_str();
  app.add_option("--no-repeat-ngram", sampling.no_repeat_ngram,
                 "No run of so many tokens twice (0: off)")
      ->capture_default_str();
  app.add_option(
         "--penalty-alpha", sampling.penalty_alpha,
         "Contrastive search: how much the --top-k likeliest tokens must be unlike the text, "
         "at --temperature 0 (0: off)")
      ->capture_default_str();
  app.add_option("--min-new-tokens", sampling.min_new_tokens, "No end before")
      ->capture_default_str();
  app.add_option("--max-new-tokens", sampling.max_new_tokens, "End there")->capture_default_str();
  app.add_option("--stop", command.stop_strings, "End before this text (may be given again)");
  app.add_option("--seed", command.seed, "Of the random numbers")->capture_default_str();
  app.add_option("--batch", command.batch_size, "Texts at once; changes no text")
      ->capture_default_str();
  app.add_option("--dtype", command.dtype, "auto, float32, bfloat16 or float16")
      ->capture_default_str();
  app.add_option("--output", command.output, "Write JSONL to this file");
}

void check_flags(const cpx::recipes::GenerateCommand& command) {
  std::vector<std::string> faults;
  if (command.model.empty()) {
    faults.emplace_back(
        "[command line] --model: got nothing, expected a Hugging Face folder or a .gguf.");
  }
  if (command.compare && !command.adapter) {
    faults.emplace_back("[command line] --compare: got no --adapter, expected one beside it.");
  }
  constexpr std::string_view kTemplates[] = {"auto", "plain", "chat", "llama2", "tulu"};
  if (std::find(std::begin(kTemplates), std::end(kTemplates), command.prompt_template) ==
      std::end(kTemplates)) {
    faults.push_back("[command line] --template: got '" + command.prompt_template +
                     "', expected auto, plain, chat, llama2 or tulu.");
  }
  const bool is_conversation = command.prompts.empty() && !command.input;
  if (is_conversation && (command.samples != 1 || command.output || command.compare)) {
    faults.emplace_back(
        "[command line] --samples, --output or --compare: got no --prompt and no --input, expected "
        "one of them.");
  }
  const auto check_least = [&](const char* flag, int64_t value) {
    if (value < 1) {
      faults.push_back(std::string("[command line] ") + flag + ": got " + std::to_string(value) +
                       ", expected at least 1.");
    }
  };
  check_least("--samples", command.samples);
  check_least("--batch", command.batch_size);
  if (!faults.empty()) throw cpx::ConfigError(std::move(faults));
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::GenerateCommand command;
  const cpx::tools::Tool tool{
      .name = "cpx-generate",
      .description = "Text that a model writes after prompts, or in a conversation.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command); },
      .check_flags = [&] { check_flags(command); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            command.device = flags.device;
            return cpx::recipes::run_generate(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
