// SPDX-License-Identifier: Apache-2.0
#include "train_modes.h"

#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/formats/model_config.h"
#include "cpx/models/load.h"
#include "cpx/training/checkpoint.h"
#include "inspect.h"
#include "run_folder.h"
#include "train_inputs.h"

namespace cpx::recipes {

namespace {

void print_line(std::string_view label, std::string_view text) {
  std::cout << fmt::format("{:<11}{}\n", label, text);
}

// Runs `check`; what it throws becomes faults.
template <class Check>
bool collect_faults(std::vector<std::string>& faults, Check&& check) {
  try {
    check();
    return true;
  } catch (const ConfigError& error) {
    faults.insert(faults.end(), error.faults().begin(), error.faults().end());
  } catch (const DataError& error) {
    faults.emplace_back(error.what());
  }
  return false;
}

std::string model_line(const std::filesystem::path& path, const formats::ModelConfig& model) {
  return fmt::format("{}: {}, {} layers, hidden size {}, vocabulary {}", path.string(),
                     model.architecture, model.num_hidden_layers, model.hidden_size,
                     model.vocab_size);
}

// Everything that --validate looks at beside the config itself.
class Validation {
 public:
  Validation(TrainConfig config, const TrainCommand& command, std::vector<std::string> faults)
      : config_(std::move(config)),
        command_(command),
        faults_(std::move(faults)),
        is_config_good_(faults_.empty()) {}

  void run() {
    if (!config_.model.path.empty()) check_model();
    if (!has_fault_at("data.train") && !config_.data.train.empty()) {
      check_records("train", "data.train", config_.data.train);
    }
    if (!has_fault_at("data.eval") && !config_.data.eval.empty()) {
      check_records("eval", "data.eval", config_.data.eval);
    }
    collect_faults(faults_, [&] { adopt_adapter(config_); });
    check_output();
  }

  /// Prints what was found and returns the exit code.
  int report() const {
    if (!faults_.empty()) {
      for (const std::string& fault : faults_) std::cerr << fmt::format("cpx-train: {}\n", fault);
      std::cerr << fmt::format("cpx-train: {} {} found, nothing was trained.\n", faults_.size(),
                               faults_.size() == 1 ? "fault" : "faults");
      return is_config_good_ ? 1 : 2;
    }
    for (const auto& [label, text] : lines_) print_line(label, text);
    for (const std::string& notice : train_config_notices(config_)) print_line("notice", notice);
    for (const std::string& notice : notices_) print_line("notice", notice);
    print_line("config", fmt::format("{}: good", command_.config.string()));
    return 0;
  }

 private:
  bool has_fault_at(std::string_view key) const {
    const std::string mark = fmt::format("] {}", key);
    return std::any_of(faults_.begin(), faults_.end(), [&](const std::string& fault) {
      return fault.find(mark) != std::string::npos;
    });
  }

  void check_model() {
    formats::ModelConfig model;
    const bool has_config = collect_faults(faults_, [&] {
      model = models::read_config(config_.model.path);
      lines_.emplace_back("model", model_line(config_.model.path, model));
    });
    if (has_config) {
      collect_faults(faults_, [&] { models::check_weights(config_.model.path); });
      if (!config_.adapter.init_from && !has_fault_at("adapter.target_modules")) {
        is_config_good_ &= collect_faults(
            faults_, [&] { models::check_targets(model, config_.adapter.target_modules); });
      }
    }
    collect_faults(faults_, [&] {
      encoder_ =
          std::make_unique<data::TextEncoder>(models::read_tokenizer(config_.model.path),
                                              encode_options(config_, command_.chat_template));
    });
  }

  void check_output() {
    const std::filesystem::path& output = config_.training.output;
    if (output.empty()) return;
    if (const auto fault = output_fault(output)) faults_.push_back(*fault);
    if (training::holds_run(output) && !command_.overwrite && !command_.resume) {
      notices_.push_back(
          fmt::format("{} holds a run: --resume auto goes on with it, --overwrite starts anew",
                      output.string()));
    }
  }

  void check_records(std::string label, std::string_view key,
                     const std::vector<std::string>& patterns) {
    const LoadedRecords loaded = load_records(patterns, config_, key);
    faults_.insert(faults_.end(), loaded.faults.begin(), loaded.faults.end());
    if (loaded.records.empty()) return;
    collect_faults(faults_, [&] {
      const data::ContrastGroups groups(loaded.records, group_options(config_));
      lines_.emplace_back(label, records_line(loaded, groups));
      if (encoder_ != nullptr) {
        lines_.emplace_back("", lengths_line(measure_texts(loaded.records, groups, *encoder_)));
      }
      if (label == "train") lines_.emplace_back("steps", steps_line(groups.num_groups()));
    });
  }

  std::string lengths_line(const TextLengths& lengths) const {
    const std::string left_out =
        lengths.empty > 0
            ? fmt::format("; {} without a predicted token are left out", lengths.empty)
            : "";
    return fmt::format("{} texts of {:.1f} tokens on average, the longest {}; {} cut to {}{}",
                       lengths.texts,
                       static_cast<double>(lengths.tokens) /
                           static_cast<double>(std::max<int64_t>(1, lengths.texts)),
                       lengths.longest, lengths.cut, config_.data.max_tokens, left_out);
  }

  std::string steps_line(int64_t num_groups) {
    const RunLength length = run_length(config_, num_groups);
    if (length.micro_batches_per_epoch == 0) {
      throw_<ConfigError>(
          "[{}] data.drop_last: no micro batch is full: {} usable records, expected at least {} "
          "(training.groups).",
          config_.sources.where("data.drop_last"), num_groups, config_.training.groups);
    }
    return fmt::format("{} in all, {} an epoch; {} micro {} of {} groups in a step",
                       length.total_steps, length.steps_per_epoch, config_.training.accumulate,
                       config_.training.accumulate == 1 ? "batch" : "batches",
                       config_.training.groups);
  }

  TrainConfig config_;
  const TrainCommand& command_;
  std::vector<std::string> faults_;
  bool is_config_good_;
  std::vector<std::string> notices_;
  std::vector<std::pair<std::string, std::string>> lines_;
  std::unique_ptr<data::TextEncoder> encoder_;
};

void print_example(const data::ContrastGroups& groups, const data::Record& record,
                   const data::DrawnGroup& drawn, const data::TextEncoder& encoder) {
  std::cout << fmt::format("{}, target '{}'\n", record.where, record.group);
  for (const data::DrawnText& text : drawn.texts) {
    const data::EncodedText encoded = encoder.encode(groups.text(text));
    std::cout << fmt::format("{}: {} tokens, {} predicted{}\n", role_name(text.role),
                             encoded.ids.size(), encoded.ids.empty() ? 0 : encoded.ids.size() - 1,
                             encoded.is_cut ? ", cut" : "")
              << token_table(encoder.tokenizer(), encoded.ids);
  }
}

}  // namespace

int validate_run(const TrainCommand& command) {
  CheckedTrainConfig checked = check_train_config(command.config, command.overrides);
  Validation validation(std::move(checked.config), command, std::move(checked.faults));
  validation.run();
  return validation.report();
}

int print_resolved_config(const TrainCommand& command) {
  TrainConfig config = load_train_config(command.config, command.overrides);
  adopt_adapter(config);
  std::cout << train_config_yaml(config);
  return 0;
}

int inspect_examples(const TrainCommand& command) {
  const TrainConfig config = load_train_config(command.config, command.overrides);
  const LoadedRecords loaded = load_records(config.data.train, config, "data.train");
  throw_if_faulty(loaded);
  const data::ContrastGroups groups(loaded.records, group_options(config));
  const data::TextEncoder encoder(models::read_tokenizer(config.model.path),
                                  encode_options(config, command.chat_template));
  const std::vector<int64_t> order = groups.epoch_order(/*epoch=*/0);
  const auto count = std::min(order.size(), static_cast<size_t>(*command.inspect));
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) std::cout << "\n";
    std::cout << fmt::format("Example {} of {} (epoch 0): ", i + 1, order.size());
    const data::Record& record = loaded.records[static_cast<size_t>(order[i])];
    print_example(groups, record, groups.draw(order[i], /*epoch=*/0), encoder);
  }
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
