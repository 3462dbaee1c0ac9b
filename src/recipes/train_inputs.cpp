// SPDX-License-Identifier: Apache-2.0
#include "train_inputs.h"

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/formats/peft.h"
#include "cpx/training/trainer.h"

namespace cpx::recipes {

void adopt_adapter(TrainConfig& config) {
  if (!config.adapter.init_from) return;
  const formats::PeftConfig peft = formats::read_peft_config(*config.adapter.init_from);
  if (!peft.own_layers.empty()) {
    const auto& [module, layer] = *peft.own_layers.begin();
    throw_<DataError>(
        "[adapter.init_from] {}: '{}' has rank {} and alpha {} of its own (rank_pattern, "
        "alpha_pattern), expected {} and {} as all layers: cpx trains adapters of one rank.",
        config.adapter.init_from->string(), module, layer.rank, layer.alpha, peft.rank, peft.alpha);
  }
  adopt_adapter_shape(config, {.rank = peft.rank,
                               .alpha = peft.alpha,
                               .target_modules = peft.target_modules,
                               .rslora = peft.rslora});
}

std::vector<std::string> run_notices(const TrainCommand& command, const TrainConfig& config) {
  std::vector<std::string> notices = train_config_notices(config);
  if (command.chat_template && config.data.text_template != TextTemplate::kChat) {
    notices.push_back(fmt::format(
        "[command line] --template: has no effect but on conversations: data.template is {}.",
        config::enum_name(config.data.text_template)));
  }
  return notices;
}

RunLength run_length(const TrainConfig& config, int64_t num_units) {
  const TrainingOptions& options = config.training;
  RunLength length;
  length.micro_batches_per_epoch = config.data.drop_last
                                       ? num_units / options.groups
                                       : (num_units + options.groups - 1) / options.groups;
  if (length.micro_batches_per_epoch == 0) return length;
  length.steps_per_epoch =
      training::steps_per_epoch(length.micro_batches_per_epoch, options.accumulate);
  // --validate comes here with a faulty config too.
  if (options.epochs == 0 && options.max_steps == 0) return length;
  training::TrainerOptions limits;
  limits.epochs = options.epochs;
  limits.max_steps = options.max_steps;
  limits.accumulate = options.accumulate;
  length.total_steps = training::total_steps(length.micro_batches_per_epoch, limits);
  return length;
}

void check_has_steps(const TrainConfig& config, int64_t num_units, std::string_view unit_name) {
  if (run_length(config, num_units).micro_batches_per_epoch > 0) return;
  throw_<ConfigError>(
      "[{}] data.drop_last: no micro batch is full: {} usable {}, expected at least {} "
      "(training.groups).",
      config.sources.where("data.drop_last"), num_units, unit_name, config.training.groups);
}

}  // namespace cpx::recipes
