// SPDX-License-Identifier: Apache-2.0
// The config of cpx-train: every key with its default. What a key means, and its limits, stand in
// the visit_fields() of its struct; docs/config.md is made from them. The keys of an objective
// stand where it is computed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cpx/config/fields.h"
#include "cpx/config/load.h"
#include "cpx/core/faults.h"
#include "cpx/recipes/objective_choice.h"
#include "cpx/training/schedule.h"
#include "cpx/training/selection.h"

namespace cpx::recipes {

enum class ComputeType { kAuto, kFloat32, kBfloat16, kFloat16 };
constexpr std::array<std::string_view, 4> enum_names(ComputeType) {
  return {"auto", "float32", "bfloat16", "float16"};
}

enum class Quantization { kNone, kNf4, kFp4, kInt8 };
constexpr std::array<std::string_view, 4> enum_names(Quantization) {
  return {"none", "nf4", "fp4", "int8"};
}

enum class TextTemplate { kPlain, kLlama2, kTulu, kChat };
constexpr std::array<std::string_view, 4> enum_names(TextTemplate) {
  return {"plain", "llama2", "tulu", "chat"};
}

enum class OptimizerKind { kAdamw, kAdamw8bit };
constexpr std::array<std::string_view, 2> enum_names(OptimizerKind) {
  return {"adamw", "adamw_8bit"};
}

enum class Recompute { kAuto, kNone, kFull };
constexpr std::array<std::string_view, 3> enum_names(Recompute) { return {"auto", "none", "full"}; }

struct ModelOptions {
  std::filesystem::path path;
  ComputeType dtype = ComputeType::kAuto;
  Quantization quantization = Quantization::kNone;
  bool double_quantization = false;

  void visit_fields(config::FieldVisitor& visit);
};

struct AdapterOptions {
  int64_t rank = 64;
  double alpha = 16.0;
  double dropout = 0.1;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};  // or only kAllLinear
  bool rslora = false;
  std::optional<std::filesystem::path> init_from;

  static constexpr std::string_view kAllLinear = "all-linear";
  bool targets_all_linear() const;

  void visit_fields(config::FieldVisitor& visit);
};

struct DataOptions {
  std::vector<std::string> train;   // globs
  std::vector<std::string> eval;    // globs
  std::vector<std::string> retain;  // globs
  TextTemplate text_template = TextTemplate::kPlain;
  bool append_eos = true;
  int64_t max_tokens = 256;
  bool shuffle = true;
  bool drop_last = false;
  bool share_prefixes = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct OptimizerOptions {
  OptimizerKind name = OptimizerKind::kAdamw;
  double lr = 2.0e-4;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1.0e-8;
  double weight_decay = 0.001;
  double max_grad_norm = 0.3;
  double lora_plus_ratio = 1.0;

  /// True where the averages of large tensors are in 8 bits.
  bool has_8bit_state() const { return name == OptimizerKind::kAdamw8bit; }

  void visit_fields(config::FieldVisitor& visit);
};

/// Texts that the model writes during the run.
struct SampleOptions {
  std::vector<std::string> prompts;
  std::optional<std::filesystem::path> prompt_file;
  std::optional<int64_t> every_steps;  // none: as evaluation.every_steps
  int64_t max_new_tokens = 64;

  /// True where prompts are given, here or in a file.
  bool has_prompts() const { return !prompts.empty() || prompt_file.has_value(); }

  void visit_fields(config::FieldVisitor& visit);
};

struct TrainingOptions {
  int64_t epochs = 4;     // 0: no limit
  int64_t max_steps = 0;  // 0: no limit
  int64_t groups = 2;
  int64_t accumulate = 1;
  int64_t seed = 42;
  std::filesystem::path output;
  Recompute recompute = Recompute::kAuto;
  SampleOptions save_samples;

  void visit_fields(config::FieldVisitor& visit);
};

struct EvaluationOptions {
  int64_t every_steps = 50;
  int64_t early_stopping_patience = 0;
  training::SelectionMetric metric = training::SelectionMetric::kLoss;

  void visit_fields(config::FieldVisitor& visit);
};

struct CheckpointOptions {
  int64_t every_steps = 50;
  int64_t keep_last = 3;
  bool keep_best = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct LoggingOptions {
  int64_t every_steps = 1;
  bool tensorboard = true;

  void visit_fields(config::FieldVisitor& visit);
};

struct TrainConfig {
  /// All defaults, with the first objective of `table`, which must outlive the config.
  explicit TrainConfig(const ObjectiveTable& table = objective_table()) : objective(table) {}

  int64_t version = 1;
  ModelOptions model;
  AdapterOptions adapter;
  DataOptions data;
  ObjectiveChoice objective;
  OptimizerOptions optimizer;
  training::ScheduleOptions schedule;
  TrainingOptions training;
  EvaluationOptions evaluation;
  CheckpointOptions checkpoint;
  LoggingOptions logging;

  config::Sources sources;  // which keys were given, and where

  /// Optimizer steps between texts after training.save_samples.prompts; 0: there are none.
  int64_t generation_every_steps() const;

  void visit_fields(config::FieldVisitor& visit);
};

/// Loads and checks a config; `overrides` are "a.b=value". Throws ConfigError with all faults.
/// Files and folders that the config names are not looked at. Where max_steps is given and epochs
/// is not, epochs becomes 0. `table` are the objectives that it may name.
TrainConfig load_train_config(const std::filesystem::path& file,
                              std::span<const std::string> overrides = {},
                              const ObjectiveTable& table = objective_table());

/// The same from text; `file_name` is for messages.
TrainConfig parse_train_config(std::string_view text, const std::string& file_name,
                               std::span<const std::string> overrides = {},
                               const ObjectiveTable& table = objective_table());

/// A config together with what is wrong with it.
struct CheckedTrainConfig {
  TrainConfig config;  // values with a fault keep their defaults
  Faults faults = {};  // empty: the config is good
};

/// As load_train_config(), with the faults handed back instead of thrown (for --validate, which
/// goes on to look at the data).
CheckedTrainConfig check_train_config(const std::filesystem::path& file,
                                      std::span<const std::string> overrides = {},
                                      const ObjectiveTable& table = objective_table());

/// What is allowed but probably not meant, one line each (for --validate).
std::vector<std::string> train_config_notices(const TrainConfig& config);

/// The resolved config as YAML; loads to the same config.
std::string train_config_yaml(const TrainConfig& config);

/// Every key with its value as YAML, in declared order.
std::vector<std::pair<std::string, std::string>> config_settings(const TrainConfig& config);

/// All keys with type, default and meaning, for --help.
std::string train_config_help();

/// The text of docs/config.md.
std::string train_config_markdown();

/// What a PEFT folder fixes for the adapter that starts from it.
struct AdapterShape {
  int64_t rank = 0;
  double alpha = 0.0;
  std::vector<std::string> target_modules;
  bool rslora = false;
};

/// Takes over the shape of the adapter in adapter.init_from. Throws ConfigError when a key that
/// was given says otherwise (the order of target modules does not count).
void adopt_adapter_shape(TrainConfig& config, const AdapterShape& shape);

/// The keys whose values differ and that may not change on resume, with both values, one line
/// each: `saved` is the run's config, `current` what it is resumed with.
std::vector<std::string> config_differences(const TrainConfig& saved, const TrainConfig& current);

/// The keys that may change on resume.
std::vector<std::string> keys_free_on_resume();

}  // namespace cpx::recipes
