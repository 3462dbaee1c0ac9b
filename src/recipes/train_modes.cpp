// SPDX-License-Identifier: Apache-2.0
#include "train_modes.h"

#include <iostream>
#include <optional>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/core/log.h"
#include "cpx/core/text.h"
#include "cpx/formats/model_config.h"
#include "cpx/models/load.h"
#include "cpx/training/checkpoint.h"
#include "generation_prompts.h"
#include "objective.h"
#include "repeated_texts.h"
#include "run_folder.h"
#include "train_data.h"
#include "train_inputs.h"

namespace cpx::recipes {

namespace {

void print_line(std::string_view label, std::string_view text) {
  std::cout << fmt::format("{:<11}{}\n", label, text);
}

// Runs `check`; what it throws becomes faults.
template <class Check>
bool collect_faults(Faults& faults, const Check& check) {
  try {
    return faults.collect(check);
  } catch (const ConfigError& error) {
    faults.append(error.faults());
    return false;
  }
}

std::string model_line(const std::filesystem::path& path, const formats::ModelConfig& model) {
  return fmt::format("{}: {}, {} layers, hidden size {}, vocabulary {}", path.string(),
                     model.architecture, model.num_hidden_layers, model.hidden_size,
                     model.vocab_size);
}

// Everything that --validate looks at beside the config itself.
class Validation {
 public:
  Validation(TrainConfig config, const TrainCommand& command, Faults faults)
      : config_(std::move(config)),
        command_(command),
        faults_(std::move(faults)),
        is_config_good_(faults_.empty()),
        data_(config_.objective->make_data(config_)) {}

  void run() {
    if (!config_.model.path.empty()) check_model();
    if (!faults_.has_fault_at("data.train") && !config_.data.train.empty()) {
      check_data(/*is_trained_on=*/true);
    }
    if (!faults_.has_fault_at("data.eval") && !config_.data.eval.empty()) {
      check_data(/*is_trained_on=*/false);
    }
    if (data_->train() != nullptr) {
      for (std::string& line : repetition_warnings(*data_->train(), data_->eval())) {
        notices_.push_back(std::move(line));
      }
    }
    check_generation();
    collect_faults(faults_, [&] { adopt_adapter(config_); });
    check_own_model();
    check_output();
  }

  // Prints what was found and returns the exit code.
  int report() const {
    if (!faults_.empty()) {
      for (const Fault& fault : faults_) std::cerr << fmt::format("cpx-train: {}\n", fault.text());
      std::cerr << fmt::format("cpx-train: {} found, nothing was trained.\n",
                               counted(std::ssize(faults_), "fault"));
      return is_config_good_ ? 1 : 2;
    }
    for (const auto& [label, text] : lines_) print_line(label, text);
    for (const std::string& notice : run_notices(command_, config_)) print_line("notice", notice);
    for (const std::string& notice : notices_) print_line("notice", notice);
    print_line("config", fmt::format("{}: good", command_.config.string()));
    return 0;
  }

 private:
  void check_model() {
    formats::ModelConfig model;
    const bool has_config = collect_faults(faults_, [&] {
      model = models::read_config(config_.model.path);
      model_ = model;
      lines_.emplace_back("model", model_line(config_.model.path, model));
    });
    if (has_config) {
      collect_faults(faults_, [&] { models::check_weights(config_.model.path); });
      if (!config_.adapter.init_from && !faults_.has_fault_at("adapter.target_modules")) {
        is_config_good_ &= collect_faults(
            faults_, [&] { models::check_targets(model, config_.adapter.target_modules); });
      }
    }
    collect_faults(faults_, [&] {
      encoder_ =
          std::make_shared<data::TextEncoder>(models::read_tokenizer(config_.model.path),
                                              encode_options(config_, command_.chat_template));
    });
  }

  void check_generation() {
    if (faults_.has_fault_at("training.save_samples")) return;
    if (config_.generation_every_steps() == 0) return;
    if (!model_ || encoder_ == nullptr) return;
    collect_faults(faults_, [&] {
      ReadPrompts read = read_generation_prompts(config_, *encoder_, *model_);
      faults_.append(read.faults);
      lines_.emplace_back("samples", generation_line(config_, read.options));
    });
  }

  void check_own_model() {
    const auto own = config_.objective->own_model();
    if (!own || faults_.has_fault_at(own->section)) return;
    collect_faults(faults_, [&] {
      own->load();
      lines_.emplace_back(own->section, own->shown);
    });
  }

  void check_output() {
    const std::filesystem::path& output = config_.training.output;
    if (output.empty()) return;
    if (const auto fault = output_fault(output)) {
      faults_.add_line(*fault);
    } else {
      collect_faults(faults_, [&] { check_nothing_foreign(output); });
    }
    if (training::holds_run(output) && !command_.overwrite && !command_.resume) {
      notices_.push_back(
          fmt::format("{} holds a run: --resume auto goes on with it, --overwrite starts anew",
                      output.string()));
    }
  }

  void check_data(bool is_trained_on) {
    collect_faults(faults_, [&] {
      const Faults faults = read_data(config_, *data_, is_trained_on, encoder_);
      faults_.append(faults);
      const TrainData* data = is_trained_on ? data_->train() : data_->eval();
      if (data == nullptr || !faults.empty()) return;
      lines_.emplace_back(is_trained_on ? "train" : "eval", data->summary());
      if (encoder_ != nullptr) lines_.emplace_back("", data->lengths());
      for (std::string& warning : data->warnings()) notices_.push_back(std::move(warning));
      if (model_ && encoder_ != nullptr) data->check_fit(models::model_shape(*model_));
      if (is_trained_on) lines_.emplace_back("steps", steps_line(*data));
    });
  }

  std::string steps_line(const TrainData& data) const {
    check_has_steps(config_, data.num_units(), data.unit_name());
    const RunLength length = run_length(config_, data.num_units());
    return fmt::format("{} in all, {} an epoch; {} of {} {} in a step", length.total_steps,
                       length.steps_per_epoch,
                       counted(config_.training.accumulate, "micro batch", "micro batches"),
                       config_.training.groups, data.unit_name());
  }

  TrainConfig config_;
  const TrainCommand& command_;
  Faults faults_;
  bool is_config_good_;
  std::optional<formats::ModelConfig> model_;  // where it could be read
  std::vector<std::string> notices_;
  std::vector<std::pair<std::string, std::string>> lines_;
  std::shared_ptr<const data::TextEncoder> encoder_;
  std::unique_ptr<RunData> data_;  // refers to the config
};

}  // namespace

int validate_run(const TrainCommand& command) {
  CheckedTrainConfig checked =
      check_train_config(command.config, command.overrides, *command.objectives);
  Validation validation(std::move(checked.config), command, std::move(checked.faults));
  validation.run();
  return validation.report();
}

int print_resolved_config(const TrainCommand& command) {
  TrainConfig config = load_train_config(command.config, command.overrides, *command.objectives);
  adopt_adapter(config);
  std::cout << train_config_yaml(config);
  return 0;
}

int inspect_examples(const TrainCommand& command) {
  const TrainConfig config =
      load_train_config(command.config, command.overrides, *command.objectives);
  const auto encoder = std::make_shared<data::TextEncoder>(
      models::read_tokenizer(config.model.path), encode_options(config, command.chat_template));
  const auto data = read_train_data(config, encoder);
  std::cout << data->train()->ends() << "\n\n";
  data->train()->print_examples(*command.inspect);
  return 0;
}

int run_train(const TrainCommand& command) {
  if (command.validate) return validate_run(command);
  if (command.print_config) return print_resolved_config(command);
  if (command.inspect) return inspect_examples(command);
  if (command.estimate) return estimate_run(command);
  return train(command);
}

}  // namespace cpx::recipes
