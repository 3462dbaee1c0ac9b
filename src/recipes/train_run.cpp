// SPDX-License-Identifier: Apache-2.0
// From a config to a run: reads everything, builds the objects, trains.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/faults.h"
#include "cpx/core/hub.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/progress.h"
#include "cpx/core/random.h"
#include "cpx/data/globs.h"
#include "cpx/formats/peft.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/matmul_peak.h"
#include "cpx/tensor/memory.h"
#include "cpx/tensor/profile.h"
#include "cpx/training/trainer.h"
#include "exit_status.h"
#include "fingerprint.h"
#include "generation_prompts.h"
#include "memory_plan.h"
#include "objective.h"
#include "reference_model.h"
#include "repeated_texts.h"
#include "run_folder.h"
#include "train_data.h"
#include "train_inputs.h"
#include "train_modes.h"

namespace cpx::recipes {

namespace {

std::unique_ptr<RunData> read_all_data(const TrainConfig& config,
                                       const std::shared_ptr<const data::TextEncoder>& encoder) {
  auto data = read_train_data(config, encoder);
  check_has_steps(config, data->train()->num_units(), data->train()->unit_name());
  if (!config.data.eval.empty()) {
    throw_if_faulty(read_data(config, *data, /*is_trained_on=*/false, encoder));
  }
  return data;
}

std::shared_ptr<models::Llama> make_model(const TrainConfig& config, torch::Dtype dtype,
                                          const torch::Device& device) {
  auto model = models::load_model(config.model.path, dtype, device);
  const AdapterOptions& adapter = config.adapter;
  if (adapter.init_from) {
    models::attach_adapter(*model, formats::read_peft(*adapter.init_from), adapter.dropout);
  } else {
    models::attach_adapter(*model,
                           {.rank = adapter.rank,
                            .alpha = adapter.alpha,
                            .dropout = adapter.dropout,
                            .rslora = adapter.rslora},
                           adapter.target_modules,
                           mix_seed(static_cast<uint64_t>(config.training.seed), {0}));
  }
  return model;
}

training::RunInfo run_info(const TrainConfig& config, const RunData& data,
                           const training::StepTask& task) {
  const AdapterOptions& adapter = config.adapter;
  const BaseModelName base = base_model_name(config.model.path);
  training::RunInfo info;
  info.peft = {.rank = adapter.rank,
               .alpha = adapter.alpha,
               .dropout = adapter.dropout,
               .rslora = adapter.rslora,
               .target_modules = adapter.target_modules,
               .base_model = base.name,
               .revision = base.revision};
  info.card.base_model = base.name;
  info.card.objective = task.name();
  info.card.training_data = config.data.train;
  info.card.evaluation_data = config.data.eval;
  for (const auto& [key, value] : config_settings(config)) {
    info.card.settings.emplace_back(key, value);
  }
  info.config = train_config_yaml(config);
  info.fingerprints = {{"data.train", data.train()->fingerprint()},
                       {"data.eval", data.eval() ? data.eval()->fingerprint() : "none"},
                       {"model", model_fingerprint(config.model.path)}};
  if (const auto own = config.objective->own_model(); own && own->path) {
    info.fingerprints[own->key] = model_fingerprint(*own->path);
  }
  return info;
}

training::TrainerOptions trainer_options(const TrainConfig& config) {
  const OptimizerOptions& optimizer = config.optimizer;
  return {.output = config.training.output,
          .epochs = config.training.epochs,
          .max_steps = config.training.max_steps,
          .accumulate = config.training.accumulate,
          .seed = static_cast<uint64_t>(config.training.seed),
          .learning_rate = optimizer.lr,
          .adamw = {.beta1 = optimizer.betas[0],
                    .beta2 = optimizer.betas[1],
                    .epsilon = optimizer.eps,
                    .weight_decay = optimizer.weight_decay,
                    .lora_plus_ratio = optimizer.lora_plus_ratio,
                    .has_8bit_state = optimizer.has_8bit_state()},
          .max_grad_norm = optimizer.max_grad_norm,
          .schedule = config.schedule,
          .evaluate_every = config.evaluation.every_steps,
          .early_stopping_patience = config.evaluation.early_stopping_patience,
          .metric = config.evaluation.metric,
          .generate_every = config.generation_every_steps(),
          .checkpoint_every = config.checkpoint.every_steps,
          .keep_last = config.checkpoint.keep_last,
          .keep_best = config.checkpoint.keep_best,
          .log_every = config.logging.every_steps,
          .tensorboard = config.logging.tensorboard};
}

// Decides `auto` for the whole run: the resolved config holds the type that was taken.
torch::Dtype resolve_dtype(TrainConfig& config, const torch::Device& device) {
  const auto wanted = tensor::parse_compute_dtype(config::enum_name(config.model.dtype));
  if (wanted) return *wanted;
  const torch::Dtype chosen = tensor::choose_compute_dtype(device);
  config.model.dtype = chosen == torch::kBFloat16 ? ComputeType::kBfloat16 : ComputeType::kFloat32;
  return chosen;
}

// "adamw_8bit, 1.9 MiB of averages; 60 of 120 tensors in 8 bits (those of 4096 values or more)".
std::string optimizer_text(const TrainConfig& config, const models::Llama& model) {
  int64_t bytes = 0;
  int64_t num_8bit = 0;
  const auto parameters = model.trainable();
  for (const auto& parameter : parameters) {
    const int64_t num_values = parameter.value.numel();
    bytes += training::adamw_state_bytes(num_values, config.optimizer.has_8bit_state());
    if (num_values >= training::kMin8BitValues) ++num_8bit;
  }
  const std::string text =
      fmt::format("{}, {:.2f} MiB of averages", config::enum_name(config.optimizer.name),
                  static_cast<double>(bytes) / 1024.0 / 1024.0);
  if (!config.optimizer.has_8bit_state()) return text;
  return fmt::format("{}; {} of {} tensors in 8 bits (those of {} values or more)", text, num_8bit,
                     parameters.size(), training::kMin8BitValues);
}

void log_start(const TrainCommand& command, const TrainConfig& config, const models::Llama& model,
               const RunData& data, const training::TrainerOptions& options) {
  int64_t trainable = 0;
  for (const auto& parameter : model.trainable()) trainable += parameter.value.numel();
  log_info("model   {} in {} on {}", describe_model(config.model.path),
           tensor::dtype_name(model.dtype()), tensor::device_description(model.device()));
  log_info("adapter rank {}, {:.2f} M values on {}", config.adapter.rank,
           static_cast<double>(trainable) / 1e6, fmt::join(config.adapter.target_modules, ", "));
  log_info("optimizer {}", optimizer_text(config, model));
  log_info("data    {}", data.train()->summary());
  log_info("tokens  {}", data.train()->ends());
  const RunLength length = run_length(config, data.train()->num_units());
  log_info("steps   {} ({} an epoch){}", length.total_steps, length.steps_per_epoch,
           options.recompute_blocks ? "; blocks are computed again in the backward pass" : "");
  for (const std::string& notice : run_notices(command, config)) log_warning("{}", notice);
  for (const std::string& warning : data.train()->warnings()) log_warning("{}", warning);
  for (const std::string& warning : repetition_warnings(*data.train(), data.eval())) {
    log_warning("{}", warning);
  }
}

// torchrun and the like start several, which would all write the same run.
void check_single_process() {
  const char* const world_size = std::getenv("WORLD_SIZE");
  if (world_size == nullptr || std::string_view(world_size) == "1") return;
  throw_<ConfigError>(
      "[WORLD_SIZE] got {} processes, expected 1: several are not in this version. Start cpx-train "
      "by itself, without torchrun.",
      world_size);
}

// What a run reads, by the key or flag that names it.
std::vector<std::pair<std::string, std::filesystem::path>> inputs_of(const TrainCommand& command,
                                                                     const TrainConfig& config) {
  std::vector<std::pair<std::string, std::filesystem::path>> inputs = {
      {"--config", command.config}, {"model.path", config.model.path}};
  const auto add = [&](std::string_view name, const std::optional<std::filesystem::path>& path) {
    if (path) inputs.emplace_back(name, *path);
  };
  add("--template", command.chat_template);
  add("adapter.init_from", config.adapter.init_from);
  add("training.save_samples.prompt_file", config.training.save_samples.prompt_file);
  if (const auto keys = config.objective->reference()) {
    add("objective.reference_adapter", keys->reference_adapter);
  }
  if (const auto own = config.objective->own_model()) add(own->key, own->path);
  const auto add_files = [&](const char* name, const std::vector<std::string>& patterns) {
    Faults told_later;
    for (const auto& file : data::expand_globs(patterns, told_later)) {
      inputs.emplace_back(name, file);
    }
  };
  add_files("data.train", config.data.train);
  add_files("data.eval", config.data.eval);
  add_files("data.retain", config.data.retain);
  return inputs;
}

// Files beside training.output.
void check_files(const TrainCommand& command, const TrainConfig& config) {
  OutputCheck outputs;
  for (const auto& [name, path] : inputs_of(command, config)) outputs.reads(name, path);
  if (command.profile) outputs.writes("--profile", *command.profile);
  if (const RetainKeys* keys = config.objective->retain_keys(); keys && keys->base_cache) {
    outputs.writes("objective.base_cache", *keys->base_cache);
  }
  if (const auto keys = config.objective->reference(); keys && keys->reference_cache) {
    outputs.writes("objective.reference_cache", *keys->reference_cache);
  }
  outputs.check();
}

// An old run goes when the new one can begin, but not what the new one is made from.
void check_removal(const TrainCommand& command, const TrainConfig& config) {
  Faults faults;
  for (const auto& [name, path] : inputs_of(command, config)) {
    if (!is_part_of_run(path, config.training.output)) continue;
    faults.add("--overwrite",
               "'{}' is {}, and part of the run in '{}' that would be removed. Choose another "
               "training.output.",
               path.string(), name, config.training.output.string());
  }
  faults.throw_if_any();
}

void print_end(const training::TrainingResult& result, const TrainConfig& config) {
  using End = training::TrainingResult::End;
  const training::TrainerState& state = result.state;
  const std::filesystem::path& output = config.training.output;
  const std::string where = fmt::format("step {} of {}, {}", state.step, result.total_steps,
                                        format_duration(state.elapsed_s));
  if (result.end == End::kInterrupted) {
    std::cout << fmt::format("interrupted at {}\ngo on with  cpx-train ... --resume auto\n", where);
    return;
  }
  std::cout << fmt::format("{} at {}\n",
                           result.end == End::kStoppedEarly ? "stopped early" : "finished", where);
  std::cout << fmt::format("adapter     {}{}\n", result.folder.string(),
                           result.fault.empty() ? "" : ": not usable, " + result.fault);
  if (state.best.value && std::filesystem::exists(output / "best")) {
    std::cout << fmt::format("best        {} (step {}, {} {:.4f})\n", (output / "best").string(),
                             state.best.step, config::enum_name(config.evaluation.metric),
                             *state.best.value);
  }
  std::cout << fmt::format("metrics     {}\n", (output / "metrics.jsonl").string());
  if (config.generation_every_steps() > 0) {
    std::cout << fmt::format("texts       {}\n", (output / training::kGenerationsFile).string());
  }
  if (config.logging.tensorboard) {
    std::cout << fmt::format("TensorBoard {}\n", (output / "tensorboard").string());
  }
  std::cout << result.profile;
}

int exit_code_of(const training::TrainingResult& result) {
  if (result.end == training::TrainingResult::End::kInterrupted) return kInterrupted;
  if (result.fault.empty()) return kDone;
  throw_<DataError>(
      "[training] {}: the adapter is not usable: {}. Lower optimizer.lr, or look at the warnings "
      "above and at metrics.jsonl.",
      result.folder.string(), result.fault);
}

}  // namespace

int train(const TrainCommand& command) {
  check_single_process();
  TrainConfig config = load_train_config(command.config, command.overrides, *command.objectives);
  adopt_adapter(config);
  check_files(command, config);
  const torch::Device device = tensor::resolve_device(command.device);
  const RunStart start = prepare_run_folder(command, config);
  if (start.removes_old_run) check_removal(command, config);
  const auto encoder = std::make_shared<const data::TextEncoder>(
      models::read_tokenizer(config.model.path), encode_options(config, command.chat_template));
  const auto data = read_all_data(config, encoder);
  const auto generations = make_generations(config, *encoder);
  const torch::Dtype dtype = resolve_dtype(config, device);
  const auto model = make_model(config, dtype, device);

  training::TrainerOptions options = trainer_options(config);
  options.recompute_blocks =
      decide_recompute(config, model->config(), dtype, device, *data->train(),
                       tensor::available_memory_bytes(device));
  if (command.profile) options.profile_trace = *command.profile;
  // Each product takes a tenth of a second of two cores, before the first step: five only where
  // they do not delay anybody.
  options.peak_flops = tensor::measure_matmul_flops(device, dtype, command.profile ? 5 : 2);
  log_start(command, config, *model, *data, options);

  const ReferenceModel reference = make_reference(config, *model);
  if (!reference.description.empty()) log_info("reference {}", reference.description);
  const auto task = data->make_task({.model = model.get(),
                                     .reference = reference.reference,
                                     .base_cache = make_base_cache(config, *model)});
  training::Trainer trainer(*model, *task, run_info(config, *data, *task), options,
                            generations.get());
  if (start.checkpoint) trainer.resume(*start.checkpoint);
  if (start.removes_old_run) remove_run(config.training.output);  // now that the new one can begin
  write_resolved_config(config.training.output, train_config_yaml(config));
  const training::TrainingResult result = trainer.run();
  print_end(result, config);
  return exit_code_of(result);
}

}  // namespace cpx::recipes
