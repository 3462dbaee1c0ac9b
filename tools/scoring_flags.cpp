// SPDX-License-Identifier: Apache-2.0
#include "scoring_flags.h"

#include <algorithm>
#include <iterator>

#include "flag_effects.h"
#include "path_option.h"

namespace cpx::tools {

void add_model_flags(CLI::App& app, recipes::TextScoring& scoring) {
  add_path_option(app, "--model", scoring.model, "Hugging Face folder or .gguf");
  add_path_option(app, "--adapter", scoring.adapter, "PEFT LoRA folder");
  add_path_option(app, "--compare", scoring.compare,
                  "More PEFT folders: base (or --adapter) and each of them side by side");
}

void add_scoring_flags(CLI::App& app, recipes::TextScoring& scoring) {
  app.add_flag("--append-eos", scoring.append_eos, "End each text by EOS");
  app.add_option("--max-tokens", scoring.max_tokens, "Cut texts to this many tokens (0: never)")
      ->capture_default_str();
  app.add_option("--window", scoring.window,
                 "Longest piece of a text at once (0: the model's own length)")
      ->capture_default_str();
  app.add_option("--stride", scoring.stride, "Step between windows (0: half a window)")
      ->capture_default_str();
  app.add_option("--batch-tokens", scoring.batch_tokens, "Tokens computed at once")
      ->capture_default_str();
  app.add_option(
         "--weights", scoring.weights,
         "In memory: dense (in --dtype), or as in cpx-generate auto (a quantised GGUF as it "
         "is), float32, bfloat16, q8_0 or q4_0")
      ->capture_default_str();
  app.add_option("--dtype", scoring.dtype, "auto, float32, bfloat16 or float16")
      ->capture_default_str();
}

void check_scoring_flags(const recipes::TextScoring& scoring, Faults& faults) {
  constexpr std::string_view kWeights[] = {"dense", "auto", "float32", "bfloat16", "q8_0", "q4_0"};
  if (std::ranges::find(kWeights, scoring.weights) == std::end(kWeights)) {
    faults.add_at("command line", "--weights",
                  "got '{}', expected dense, auto, float32, bfloat16, q8_0 or q4_0.",
                  scoring.weights);
  }
  check_at_least("--max-tokens", scoring.max_tokens, 0, faults);
  check_at_least("--window", scoring.window, 0, faults);
  check_at_least("--stride", scoring.stride, 0, faults);
  check_at_least("--batch-tokens", scoring.batch_tokens, 1, faults);
  if (scoring.window > 0 && scoring.stride > scoring.window) {
    faults.add("command line", "--stride is larger than --window: tokens would be lost.");
  }
}

void check_has_model(const recipes::TextScoring& scoring, Faults& faults) {
  if (!scoring.model.empty()) return;
  faults.add_at("command line", "--model",
                "got nothing, expected a Hugging Face folder or a .gguf.");
}

}  // namespace cpx::tools
