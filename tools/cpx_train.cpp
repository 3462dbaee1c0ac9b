// SPDX-License-Identifier: Apache-2.0
// cpx-train: trains a LoRA adapter with any objective.
#include <iostream>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/recipes/train.h"
#include "cpx/recipes/train_config.h"
#include "flag_effects.h"
#include "path_option.h"
#include "tool_main.h"

namespace {

using cpx::tools::add_path_option;

constexpr const char* kExamples =
    "  cpx-train --config configs/demo.yaml                        train\n"
    "  cpx-train --config configs/demo.yaml training.max_steps=20  with another value of a key\n"
    "  cpx-train --config configs/demo.yaml --validate             check config and data only\n"
    "  cpx-train --config configs/mistral.yaml --estimate          memory by part, before a run\n"
    "  cpx-train --config configs/demo.yaml --inspect 2            two examples as the model sees "
    "them\n"
    "  cpx-train --config configs/demo.yaml --resume auto          go on after an interruption\n"
    "  cpx-train --config configs/demo.yaml --profile trace.json   where the time of a step goes\n"
    "All keys of a config: cpx-train --help-config, or docs/config.md.";

void add_flags(CLI::App& app, cpx::recipes::TrainCommand& command, bool& help_config) {
  add_path_option(app, "--config", command.config, "The run's config (YAML)");
  app.add_option("overrides", command.overrides, "Keys set on the command line: a.b=value");
  app.add_flag("--validate", command.validate,
               "Check config and data, report all faults at once, train nothing");
  app.add_flag("--estimate", command.estimate,
               "Print memory by part and tokens, without loading the weights");
  app.add_flag("--print-config", command.print_config, "Print the resolved config");
  app.add_option("--inspect", command.inspect,
                 "Show this many examples as pieces, ids, masks and roles")
      ->check(CLI::PositiveNumber);
  add_path_option(app, "--resume", command.resume,
                  "Go on from a checkpoint or run folder, or auto: the last checkpoint, if any");
  add_path_option(
      app, "--profile", command.profile,
      "Write a Chrome trace of a step here, and print where the time of five steps goes");
  app.add_flag("--overwrite", command.overwrite, "Remove the run that stands in training.output");
  add_path_option(app, "--chat-template,--template", command.chat_template,
                  "Jinja file in place of the model's chat template");
  app.add_flag("--help-config", help_config, "All keys of a config with default and meaning");
}

// Flags of a run beside a mode that starts none.
void check_effects(const CLI::App& app, const cpx::recipes::TrainCommand& command,
                   cpx::Faults& faults) {
  const char* mode = command.validate       ? "--validate"
                     : command.estimate     ? "--estimate"
                     : command.print_config ? "--print-config"
                     : command.inspect      ? "--inspect"
                                            : nullptr;
  if (mode == nullptr) return;
  cpx::tools::FlagEffects effects(app, faults);
  const std::string reason = fmt::format("with {}: nothing is trained", mode);
  effects.refuse({"--profile"}, reason);
  if (!command.validate) effects.warn({"--resume", "--overwrite"}, reason);
  if (command.print_config) effects.warn({"--template"}, reason);
}

void check_flags(const CLI::App& app, const cpx::recipes::TrainCommand& command, bool help_config) {
  if (help_config) return;
  if (command.config.empty()) {
    throw cpx::ConfigError(
        "[command line] --config: got nothing, expected a YAML file. Try configs/demo.yaml.");
  }
  const int modes = static_cast<int>(command.validate) + static_cast<int>(command.estimate) +
                    static_cast<int>(command.print_config) +
                    static_cast<int>(command.inspect.has_value());
  if (modes > 1) {
    throw cpx::ConfigError(
        "[command line] got more than one of --validate, --estimate, --print-config and --inspect, "
        "expected one.");
  }
  if (command.resume && command.overwrite) {
    throw cpx::ConfigError(
        "[command line] got --resume beside --overwrite, expected one: go on, or start anew.");
  }
  cpx::Faults faults;
  check_effects(app, command, faults);
  faults.throw_if_any();
}

}  // namespace

int main(int argc, char** argv) {
  cpx::recipes::TrainCommand command;
  bool help_config = false;
  const cpx::tools::Tool tool{
      .name = "cpx-train",
      .description =
          "Trains a LoRA adapter on a LLaMA/Mistral model, by default with contrastive "
          "perplexity: toxic text becomes improbable, neutral text stays probable.",
      .examples = kExamples,
      .add_flags = [&](CLI::App& app) { add_flags(app, command, help_config); },
      .check_flags = [&](const CLI::App& app) { check_flags(app, command, help_config); },
      .run =
          [&](const cpx::tools::CommonFlags& flags) {
            if (help_config) {
              std::cout << cpx::recipes::train_config_help();
              return 0;
            }
            command.device = flags.device;
            return cpx::recipes::run_train(command);
          }};
  return cpx::tools::tool_main(tool, argc, argv);
}
