// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/train_config.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/config/print.h"
#include "cpx/core/text.h"
#include "objective.h"

namespace cpx::recipes {

using config::FieldVisitor;
using training::SelectionMetric;

// ---- the keys ----------------------------------------------------------------------------------

void ModelOptions::visit_fields(FieldVisitor& visit) {
  visit.field(
      "path", path,
      "Folder of a Hugging Face model, a .gguf file, or owner/name[@revision] of the Hugging Face "
      "cache",
      {.required = true});
  visit.field(
      "dtype", dtype,
      "Type that is computed in; auto measures the CPU, or takes bfloat16 on a GPU; float16 "
      "is refused for training");
  visit.field("quantization", quantization,
              "Of the frozen base weights; only none in this version");
  visit.field("double_quantization", double_quantization,
              "Quantizes the quantization's own constants too; only false in this version");
}

void AdapterOptions::visit_fields(FieldVisitor& visit) {
  visit.field("rank", rank, "Rank of the LoRA matrices: more of it learns more and costs memory",
              {.at_least = 1});
  visit.field("alpha", alpha, "Scale of the adapter: its output is multiplied by alpha / rank",
              {.above = 0});
  visit.field("dropout", dropout, "Share of the adapter's inputs that is dropped in training",
              {.at_least = 0, .below = 1});
  visit.field(
      "target_modules", target_modules,
      "Linear layers that get an adapter: ends of their names (lm_head too), or all-linear: "
      "all but lm_head",
      {.non_empty = true, .instead_of_list = kAllLinear});
  visit.field("rslora", rslora, "Multiplies by alpha / sqrt(rank) instead");
  visit.field("init_from", init_from,
              "A PEFT folder, or owner/name of the cache, to go on from; rank, alpha, rslora and "
              "target_modules come from it");
}

void DataOptions::visit_fields(FieldVisitor& visit) {
  visit.field("train", train,
              "Files to train on; * and ? stand for any characters of the file name",
              {.required = true, .non_empty = true, .is_path = true});
  visit.field("eval", eval, "Files to evaluate on; none: no evaluation, and no best/",
              {.is_path = true});
  visit.field("retain", retain,
              "Files of plain texts (a text a line; JSON texts, or objects with text) that are "
              "kept close to the base; objective.retain is their weight",
              {.is_path = true});
  visit.field("template", text_template,
              "Form that texts are put in: plain as they are; chat is the model's own");
  visit.field("append_eos", append_eos, "Ends each text that was not cut by the EOS token");
  visit.field("max_tokens", max_tokens, "Longer texts are cut to this many tokens",
              {.at_least = 2});
  visit.field(
      "shuffle", shuffle,
      "Order and texts drawn anew each epoch; false: file order and a record's first texts");
  visit.field("drop_last", drop_last,
              "Leaves out an epoch's last micro batch when it is not full (published: true)");
  visit.field(
      "share_prefixes", share_prefixes,
      "Computes what texts of a group begin with alike once: less time and memory, the same "
      "numbers (objective.share_prompts for pairs)");
}

void OptimizerOptions::visit_fields(FieldVisitor& visit) {
  visit.field(
      "name", name,
      "The optimizer; adamw_8bit has the averages of tensors of 4096 values or more in 8 bits, as "
      "bitsandbytes has them: a quarter of their memory");
  visit.field("lr", lr, "Highest learning rate", {.above = 0});
  visit.field("betas", betas, "Decay of the averages of gradient and squared gradient",
              {.at_least = 0, .below = 1});
  visit.field("eps", eps, "Added to the divisor of an update", {.above = 0});
  visit.field("weight_decay", weight_decay, "Pull towards zero, times the learning rate; 0: off",
              {.at_least = 0});
  visit.field("max_grad_norm", max_grad_norm, "A longer gradient is shortened to this; 0: off",
              {.at_least = 0});
  visit.field("lora_plus_ratio", lora_plus_ratio,
              "Learning rate of the B matrices over that of the A matrices (LoRA+)", {.above = 0});
}

void TrainingOptions::visit_fields(FieldVisitor& visit) {
  visit.field("epochs", epochs,
              "Times through the data; 0: no limit, and so where only max_steps is given",
              {.at_least = 0, .free_on_resume = true});
  visit.field("max_steps", max_steps,
              "Optimizer steps; 0: no limit; with epochs, what is reached first ends the run",
              {.at_least = 0, .free_on_resume = true});
  visit.field("groups", groups,
              "Groups (a record's texts) in one micro batch: memory grows with it",
              {.at_least = 1});
  visit.field("accumulate", accumulate, "Micro batches in one optimizer step", {.at_least = 1});
  visit.field("seed", seed, "Seed of order, draws, dropout and the adapter's start",
              {.at_least = 0});
  visit.field("output", output, "Folder of the run", {.required = true, .free_on_resume = true});
  visit.field(
      "recompute", recompute,
      "What the backward pass computes again instead of keeping: full takes less memory and "
      "more time; auto decides by the memory at hand",
      {.free_on_resume = true});
  visit.field("save_samples", save_samples, "Texts that the model writes during the run");
}

void EvaluationOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between evaluations; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("early_stopping_patience", early_stopping_patience,
              "Evaluations without a better metric that end the run; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field(
      "metric", metric,
      "Says which checkpoint is best: loss (lower), separation (higher) or ratio (higher) of "
      "toxic against neutral text; of ppo loss, or the responses' mean score (higher)");
}

void SampleOptions::visit_fields(FieldVisitor& visit) {
  visit.field(
      "prompts", prompts,
      "Prompts, put into the form of data.template, that the model continues greedily during "
      "the run, into generations.jsonl of its folder; none, and no prompt_file: off",
      {.free_on_resume = true});
  visit.field("prompt_file", prompt_file,
              "A file of more prompts: one a line, or JSON as cpx-generate reads it; null: none",
              {.free_on_resume = true});
  visit.field("every_steps", every_steps,
              "Optimizer steps between texts; besides, they are written before the first and after "
              "the last step; null: as evaluation.every_steps; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("max_new_tokens", max_new_tokens, "A text ends after so many tokens",
              {.at_least = 1, .free_on_resume = true});
}

void CheckpointOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between checkpoints; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("keep_last", keep_last, "Checkpoints kept, the newest ones; 0: all",
              {.at_least = 0, .free_on_resume = true});
  visit.field("keep_best", keep_best, "Keeps the adapter of the best evaluation as best/",
              {.free_on_resume = true});
}

void LoggingOptions::visit_fields(FieldVisitor& visit) {
  visit.field("every_steps", every_steps, "Optimizer steps between progress lines; 0: off",
              {.at_least = 0, .free_on_resume = true});
  visit.field("tensorboard", tensorboard, "Writes TensorBoard event files",
              {.free_on_resume = true});
}

void TrainConfig::visit_fields(FieldVisitor& visit) {
  visit.field("version", version, "Form of the config", {.at_least = 1, .at_most = 1});
  visit.field("model", model, "The base model, which stays as it is");
  visit.field("adapter", adapter, "The LoRA adapter, which is what is trained");
  visit.field("data", data, "The texts");
  objective.visit_fields(visit);
  visit.field("optimizer", optimizer, "How the adapter is changed");
  visit.field("schedule", schedule, "Course of the learning rate over the steps");
  visit.field("training", training, "Length and size of the run");
  visit.field("evaluation", evaluation, "Evaluation on `data.eval` during the run");
  visit.field("checkpoint", checkpoint, "What is kept to go on from");
  visit.field("logging", logging, "What is shown and written of each step");
}

int64_t TrainConfig::generation_every_steps() const {
  const SampleOptions& samples = training.save_samples;
  return samples.has_prompts() ? samples.every_steps.value_or(evaluation.every_steps) : 0;
}

bool AdapterOptions::targets_all_linear() const {
  return target_modules.size() == 1 && target_modules.front() == kAllLinear;
}

// ---- checks ------------------------------------------------------------------------------------

namespace {

// The faults of a config whose values are good each by itself.
class Checks {
 public:
  Checks(const TrainConfig& config, Faults& faults) : config_(config), faults_(config, faults) {}

  void run() {
    check_model();
    check_adapter();
    check_retain();
    config_.objective->check(config_, faults_);
    check_length();
    check_evaluation();
  }

 private:
  void check_model() {
    const ModelOptions& model = config_.model;
    if (model.dtype == ComputeType::kFloat16) {
      faults_.add("model.dtype",
                  "got 'float16', expected auto, float32 or bfloat16: the gradients of training "
                  "leave float16's range.");
    }
    if (model.quantization != Quantization::kNone) {
      faults_.add("model.quantization", "'{}' is not in this version, expected none.",
                  config::enum_name(model.quantization));
    }
    if (model.double_quantization) {
      faults_.add("model.double_quantization", "'true' is not in this version, expected false.");
    }
  }

  void check_adapter() {
    const std::vector<std::string>& names = config_.adapter.target_modules;
    const std::set<std::string> different(names.begin(), names.end());
    if (different.size() != names.size()) {
      faults_.add("adapter.target_modules", "a name is given twice, expected different names.");
    }
    if (names.size() > 1 && different.contains(std::string(AdapterOptions::kAllLinear))) {
      faults_.add("adapter.target_modules",
                  "got {} beside other names, expected it alone, or names.",
                  AdapterOptions::kAllLinear);
    }
  }

  // data.retain and objective.retain need each other.
  void check_retain() {
    const std::vector<std::string>& files = config_.data.retain;
    const RetainKeys* keys = config_.objective->retain_keys();
    if (keys == nullptr) {
      if (!files.empty()) {
        faults_.add("data.retain",
                    "got {}, expected none: objective {} holds no texts. Leave it out.",
                    counted(std::ssize(files), "pattern"), config_.objective->name());
      }
      return;
    }
    if (keys->retain == 0 && !files.empty()) {
      faults_.add("data.retain",
                  "got {} beside objective.retain 0, expected none: they would not be held. Set "
                  "objective.retain, their weight, or leave them out.",
                  counted(std::ssize(files), "pattern"));
    }
    if (keys->retain > 0 && files.empty()) {
      faults_.add("objective.retain",
                  "got {} without data.retain, expected 0: there are no texts to hold. Name files "
                  "of plain texts in data.retain.",
                  keys->retain);
    }
    if (!keys->cache_base && keys->base_cache) {
      faults_.add("objective.base_cache", "got '{}' beside cache_base false, expected null.",
                  keys->base_cache->string());
    }
  }

  void check_length() {
    const training::ScheduleOptions& schedule = config_.schedule;
    if (schedule.kind == training::ScheduleKind::kWsd &&
        schedule.warmup_ratio + schedule.decay_ratio > 1) {
      faults_.add("schedule.decay_ratio",
                  "got {} beside warmup_ratio {}, expected a sum of at most 1.",
                  schedule.decay_ratio, schedule.warmup_ratio);
    }
    if (schedule.warmup_steps > 0 && schedule.warmup_ratio > 0) {
      faults_.add("schedule.warmup_steps", "got {} beside warmup_ratio {}, expected one of them.",
                  schedule.warmup_steps, schedule.warmup_ratio);
    }
    if (config_.training.epochs == 0 && config_.training.max_steps == 0) {
      faults_.add("training.epochs", "epochs and max_steps are both 0, expected one > 0.");
    }
  }

  void check_evaluation() {
    const EvaluationOptions& evaluation = config_.evaluation;
    const bool is_of_sides = evaluation.metric == SelectionMetric::kSeparation ||
                             evaluation.metric == SelectionMetric::kRatio;
    const bool has_scores = config_.objective->has_scores();
    if (has_scores ? is_of_sides : evaluation.metric == SelectionMetric::kScore) {
      faults_.add("evaluation.metric", "got {}, expected {}.", config::enum_name(evaluation.metric),
                  has_scores ? "loss or score: ppo has no texts of two sides"
                             : "loss, separation or ratio: only ppo has scores");
    }
    if (evaluation.early_stopping_patience == 0) return;
    if (config_.data.eval.empty() && !config_.objective->holds_out()) {
      faults_.add("evaluation.early_stopping_patience",
                  "got {}, expected 0 where data.eval is empty.",
                  evaluation.early_stopping_patience);
    }
    if (evaluation.every_steps == 0) {
      faults_.add("evaluation.early_stopping_patience",
                  "got {}, expected 0 where evaluation.every_steps is 0.",
                  evaluation.early_stopping_patience);
    }
  }

  const TrainConfig& config_;
  ConfigFaults faults_;
};

CheckedTrainConfig checked(TrainConfig config, config::Loaded loaded) {
  config.sources = std::move(loaded.sources);
  const TrainingOptions& training = config.training;
  if (training.max_steps > 0 && !config.sources.is_set("training.epochs")) {
    config.training.epochs = 0;
  }
  Checks(config, loaded.faults).run();
  return {std::move(config), std::move(loaded.faults)};
}

TrainConfig good_config(CheckedTrainConfig checked) {
  checked.faults.throw_if_any();
  return std::move(checked.config);
}

std::vector<config::FlatValue> flat_values(TrainConfig config) {
  return config::flatten(config::fields_of(config));
}

}  // namespace

CheckedTrainConfig check_train_config(const std::filesystem::path& file,
                                      std::span<const std::string> overrides,
                                      const ObjectiveTable& table) {
  TrainConfig config(table);
  config::Loaded loaded = config::load_file(config::fields_of(config), file, overrides);
  return checked(std::move(config), std::move(loaded));
}

TrainConfig load_train_config(const std::filesystem::path& file,
                              std::span<const std::string> overrides, const ObjectiveTable& table) {
  return good_config(check_train_config(file, overrides, table));
}

TrainConfig parse_train_config(std::string_view text, const std::string& file_name,
                               std::span<const std::string> overrides,
                               const ObjectiveTable& table) {
  TrainConfig config(table);
  config::Loaded loaded = config::load_text(config::fields_of(config), text, file_name, overrides);
  return good_config(checked(std::move(config), std::move(loaded)));
}

ConfigNotices::ConfigNotices(const TrainConfig& config) : config_(config) {
  TrainConfig defaults;
  defaults.objective = config.objective.with_default_keys();
  for (const config::FlatValue& value : flat_values(defaults)) defaults_[value.key] = value.yaml;
  for (const config::FlatValue& value : flat_values(config)) values_[value.key] = value.yaml;
}

void ConfigNotices::add_idle(bool is_idle, std::initializer_list<std::string_view> keys,
                             std::string_view reason) {
  for (const std::string_view key : keys) {
    if (!is_idle || !config_.sources.is_set(key)) continue;
    const auto value = values_.find(key);
    if (value == values_.end() || value->second == defaults_.find(key)->second) continue;
    add(key, "has no effect: {}.", reason);
  }
}

namespace {

void add_schedule_notices(const training::ScheduleOptions& schedule, ConfigNotices& notices) {
  using training::ScheduleKind;
  const ScheduleKind kind = schedule.kind;
  notices.add_idle(kind != ScheduleKind::kWsd, {"schedule.decay_ratio"},
                   "only schedule.name wsd has it");
  notices.add_idle(kind == ScheduleKind::kConstant || kind == ScheduleKind::kLinear,
                   {"schedule.min_lr_ratio"},
                   "only schedule.name cosine, wsd and polynomial have it");
  notices.add_idle(kind != ScheduleKind::kPolynomial, {"schedule.power"},
                   "only schedule.name polynomial has it");
}

void add_sample_notices(const TrainConfig& config, ConfigNotices& notices) {
  const SampleOptions& keys = config.training.save_samples;
  notices.add_idle(!keys.has_prompts(),
                   {"training.save_samples.every_steps", "training.save_samples.max_new_tokens"},
                   "there are no training.save_samples.prompts");
  notices.add_idle(
      keys.has_prompts() && config.generation_every_steps() == 0,
      {"training.save_samples.prompts", "training.save_samples.prompt_file",
       "training.save_samples.max_new_tokens"},
      keys.every_steps ? "training.save_samples.every_steps is 0" : "evaluation.every_steps is 0");
}

}  // namespace

std::vector<std::string> train_config_notices(const TrainConfig& config) {
  ConfigNotices notices(config);
  config.objective->look_for_notices(config, notices);
  const bool has_texts = !config.data.eval.empty() || config.objective->holds_out();
  const bool is_never_evaluated = config.evaluation.every_steps == 0;
  const SampleOptions& samples = config.training.save_samples;
  const bool paces_samples = samples.has_prompts() && !samples.every_steps;
  notices.add_idle(!has_texts && !paces_samples, {"evaluation.every_steps"},
                   "there is no data.eval");
  notices.add_idle(is_never_evaluated, {"data.eval"}, "evaluation.every_steps is 0");
  notices.add_idle(!has_texts || is_never_evaluated, {"evaluation.metric", "checkpoint.keep_best"},
                   "there is no evaluation");
  add_sample_notices(config, notices);
  add_schedule_notices(config.schedule, notices);
  notices.add_idle(config.checkpoint.every_steps == 0, {"checkpoint.keep_last"},
                   "checkpoint.every_steps is 0");
  const RetainKeys* retain = config.objective->retain_keys();
  notices.add_idle(retain != nullptr && retain->retain == 0, {"objective.retain_texts"},
                   "objective.retain is 0");
  return notices.texts();
}

// ---- what the keys give ------------------------------------------------------------------------

std::string train_config_yaml(const TrainConfig& config) {
  TrainConfig copy = config;
  return config::to_yaml(config::fields_of(copy));
}

std::vector<std::pair<std::string, std::string>> config_settings(const TrainConfig& config) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (config::FlatValue& value : flat_values(config)) {
    settings.emplace_back(std::move(value.key), std::move(value.yaml));
  }
  return settings;
}

std::string train_config_help() {
  TrainConfig defaults;
  return config::key_help(config::fields_of(defaults));
}

std::string train_config_markdown() {
  TrainConfig defaults;
  return "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
         "<!-- Made from the lists of keys in src/recipes/ and of each objective; the test "
         "TrainConfigDocs rewrites it. -->\n"
         "# The config of cpx-train\n\n"
         "YAML; every key can be set on the command line as `key=value`, with the value in YAML "
         "(lists are\n`[x, y]`). Keys that are not listed are errors. Where a key counts or "
         "limits, "
         "0 switches it off.\nRelative paths are relative to the working folder; `~/` at the "
         "beginning "
         "of a path is the home folder.\nThe keys below an objective's heading are its own: beside "
         "another name they are errors.\n\n" +
         config::key_markdown(config::fields_of(defaults));
}

void adopt_adapter_shape(TrainConfig& config, const AdapterShape& shape) {
  AdapterOptions& adapter = config.adapter;
  Faults faults;
  const std::string folder = adapter.init_from ? adapter.init_from->string() : "";
  const auto adopt = [&](std::string_view name, auto& ours, const auto& theirs, bool is_equal,
                         const auto& show) {
    const std::string key = fmt::format("adapter.{}", name);
    if (!is_equal && config.sources.is_set(key)) {
      ConfigFaults(config, faults)
          .add(key, "got {}, expected {} (from {}). Leave the key out.", show(ours), show(theirs),
               folder);
    }
    ours = theirs;
  };
  const auto show_plain = [](const auto& value) { return fmt::format("{}", value); };
  const auto show_names = [](const std::vector<std::string>& names) {
    return fmt::format("[{}]", fmt::join(names, ", "));
  };
  adopt("rank", adapter.rank, shape.rank, adapter.rank == shape.rank, show_plain);
  adopt("alpha", adapter.alpha, shape.alpha, adapter.alpha == shape.alpha, show_plain);
  adopt("rslora", adapter.rslora, shape.rslora, adapter.rslora == shape.rslora, show_plain);
  const std::set<std::string> ours(adapter.target_modules.begin(), adapter.target_modules.end());
  const std::set<std::string> theirs(shape.target_modules.begin(), shape.target_modules.end());
  adopt("target_modules", adapter.target_modules, shape.target_modules, ours == theirs, show_names);
  faults.throw_if_any();
}

std::vector<std::string> config_differences(const TrainConfig& saved, const TrainConfig& current) {
  std::map<std::string, std::string> saved_values;
  for (const config::FlatValue& value : flat_values(saved)) saved_values[value.key] = value.yaml;
  std::vector<std::string> differences;
  for (const config::FlatValue& value : flat_values(current)) {
    const auto found = saved_values.find(value.key);
    const std::string before = found == saved_values.end() ? "nothing" : found->second;
    if (!value.rule.free_on_resume && before != value.yaml) {
      differences.push_back(fmt::format("{}: got {}, expected {} (from the saved run).", value.key,
                                        value.yaml, before));
    }
  }
  return differences;
}

std::vector<std::string> keys_free_on_resume() {
  std::vector<std::string> keys;
  for (const config::FlatValue& value : flat_values(TrainConfig())) {
    if (value.rule.free_on_resume) keys.push_back(value.key);
  }
  return keys;
}

}  // namespace cpx::recipes
