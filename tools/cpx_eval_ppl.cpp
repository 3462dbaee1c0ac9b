// SPDX-License-Identifier: Apache-2.0
// cpx-eval-ppl: perplexity of toxic against neutral text.
#include "cpx/core/faults.h"
#include "cpx/recipes/eval_ppl.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-eval-ppl --model models/SmolLM2-135M-Instruct.Q4_1.gguf \\\n"
    "      --shards 'data/demo/heldout/*.json'                      a table\n"
    "  ... --adapter runs/demo/best --report report.json            with an adapter; JSON too\n"
    "  ... --compare runs/demo/best                                 base and adapter side by side\n"
    "  ... --toxic rude.txt --neutral courteous.txt                 texts, one a line\n"
    "  ... --neutral data/demo/everyday.txt --compare runs/demo/best    one side alone";

void add_flags(CLI::App& app, cpx::recipes::EvalPplCommand& command) {
  add_path_option(app, "--model", command.model, "Hugging Face folder or .gguf");
  add_path_option(app, "--adapter", command.adapter, "PEFT LoRA folder");
  add_path_option(app, "--compare", command.compare,
                  "Another PEFT folder: base (or --adapter) and this one side by side");
  add_path_option(app, "--shards", command.shards,
                  "Contrast shards: toxic and neutral texts by group");
  add_path_option(app, "--toxic", command.toxic,
                  "Toxic texts: one a line, or JSON (texts, or objects with the key text)");
  add_path_option(app, "--neutral", command.neutral, "Neutral texts, in the same forms");
  add_path_option(app, "--report", command.report,
                  "Write the report as JSON to this file (-: standard "
                  "output)");
  app.add_option("--mode", command.mode,
                 "texts: each by itself; published: joined, in windows of 4096")
      ->capture_default_str();
  app.add_flag("--append-eos", command.append_eos, "End each text by EOS");
  app.add_option("--max-tokens", command.max_tokens, "Cut texts to this many tokens (0: never)")
      ->capture_default_str();
  app.add_option("--window", command.window,
                 "Longest piece of a text at once (0: the model's own length)")
      ->capture_default_str();
  app.add_option("--stride", command.stride, "Step between windows (0: half a window)")
      ->capture_default_str();
  app.add_option("--batch-tokens", command.batch_tokens, "Tokens computed at once")
      ->capture_default_str();
  app.add_option("--dtype", command.dtype, "auto, float32, bfloat16 or float16")
      ->capture_default_str();
}

void check_flags(const CLI::App& app, const cpx::recipes::EvalPplCommand& command) {
  cpx::Faults faults;
  if (command.model.empty()) {
    faults.add_at("command line", "--model",
                  "got nothing, expected a Hugging Face folder or a .gguf.");
  }
  const bool has_files = command.toxic.has_value() || command.neutral.has_value();
  if (command.shards.empty() && !has_files) {
    faults.add("command line",
               "no texts: expected --shards, or --toxic and --neutral (or one of them).");
  }
  if (!command.shards.empty() && has_files) {
    faults.add("command line", "got --shards beside --toxic or --neutral, expected one kind.");
  }
  if (command.mode != "texts" && command.mode != "published") {
    faults.add_at("command line", "--mode", "got '{}', expected texts or published.", command.mode);
  }
  if (command.mode == "published") {
    cpx::tools::FlagEffects effects(app, faults);
    const char* const reason = "with --mode published: windows of 4096, stride 512";
    effects.refuse({"--max-tokens", "--window", "--stride"}, reason);
    effects.warn({"--batch-tokens"}, reason);
  }
  cpx::tools::check_at_least("--max-tokens", command.max_tokens, 0, faults);
  cpx::tools::check_at_least("--window", command.window, 0, faults);
  cpx::tools::check_at_least("--stride", command.stride, 0, faults);
  cpx::tools::check_at_least("--batch-tokens", command.batch_tokens, 1, faults);
  if (command.window > 0 && command.stride > command.window) {
    faults.add("command line", "--stride is larger than --window: tokens would be lost.");
  }
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::EvalPplCommand command;
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
            command.device = flags.device;
            return cpx::recipes::run_eval_ppl(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
