// SPDX-License-Identifier: Apache-2.0
#include "supervised_data.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config_messages.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/supervised.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/training/supervised_step.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

using data::SupervisedForm;
using data::SupervisedText;

std::string supervised_fingerprint(std::span<const SupervisedText> texts) {
  TextHash hash;
  for (const SupervisedText& text : texts) {
    hash.add_text(text.prompt);
    hash.add_text(text.text);
    for (const auto& span : text.learned) hash.add_text(fmt::format("{}-{}", span.begin, span.end));
  }
  return fmt::format("{} texts, {}", texts.size(), hash.hex());
}

// The texts of training or of evaluation.
class SupervisedTrainData : public TrainData {
 public:
  // Leaves out texts without a predicted token. Throws DataError when none is left.
  SupervisedTrainData(const TrainConfig& config, const DataFiles& files,
                      std::vector<SupervisedText> texts)
      : config_(config),
        num_files_(files.files.size()),
        is_trained_on_(files.is_trained_on),
        num_read_(std::ssize(texts)),
        fingerprint_(supervised_fingerprint(texts)),
        encoder_(*files.encoder) {
    for (SupervisedText& text : texts) add(std::move(text));
    if (texts_.empty()) {
      throw_<DataError>(
          "[data] none of {} has a predicted token within data.max_tokens {} (first: {}).",
          counted(num_read_, "text"), config.data.max_tokens, first_empty_);
    }
  }

  int64_t num_units() const override { return std::ssize(texts_); }
  std::string_view unit_name() const override { return "texts"; }
  std::string summary() const override;
  std::string ends() const override { return encoder_.text_encoder().describe_ends(); }
  std::string lengths() const override;
  std::vector<std::string> warnings() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override {
    for (const SupervisedText& text : texts_) visit(text.text);
  }
  std::string fingerprint() const override { return fingerprint_; }
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;

  std::span<const SupervisedText> texts() const { return texts_; }
  const data::SupervisedEncoder& encoder() const { return encoder_; }

 private:
  void add(SupervisedText text) {
    const data::MaskedText encoded =
        tokenizer::at_place(text.where, [&] { return encoder_.encode(text); });
    if (encoded.num_predicted() == 0) {
      if (num_empty_++ == 0) first_empty_ = text.where;
      return;
    }
    lengths_.push_back(std::ssize(encoded.ids));
    num_predicted_ += encoded.num_predicted();
    num_cut_ += encoded.is_cut ? 1 : 0;
    texts_.push_back(std::move(text));
  }

  std::vector<int64_t> order(int64_t epoch) const {
    return data::supervised_order(num_units(), is_trained_on_ && config_.data.shuffle,
                                  static_cast<uint64_t>(config_.training.seed), epoch);
  }

  const TrainConfig& config_;
  size_t num_files_;
  bool is_trained_on_;
  int64_t num_read_;
  std::string fingerprint_;  // of the texts as they were read
  data::SupervisedEncoder encoder_;
  std::vector<SupervisedText> texts_;
  std::vector<int64_t> lengths_;  // in tokens
  int64_t num_predicted_ = 0;
  int64_t num_cut_ = 0;
  int64_t num_empty_ = 0;
  std::string first_empty_;
};

std::string SupervisedTrainData::summary() const {
  std::vector<std::string> forms;
  for (const auto form :
       {SupervisedForm::kText, SupervisedForm::kCompletion, SupervisedForm::kMessages}) {
    const int64_t count = std::ranges::count(texts_, form, &SupervisedText::form);
    if (count > 0) forms.push_back(counted(count, data::form_name(form)));
  }
  return fmt::format("{}, {}; {} left out; {} predicted",
                     counted(static_cast<int64_t>(num_files_), "file"), fmt::join(forms, ", "),
                     num_empty_, counted(num_predicted_, "token"));
}

std::string SupervisedTrainData::lengths() const {
  TextLengths lengths{.texts = num_units(), .cut = num_cut_, .empty = num_empty_};
  for (const int64_t length : lengths_) {
    lengths.tokens += length;
    lengths.longest = std::max(lengths.longest, length);
  }
  return lengths_line(lengths, config_.data.max_tokens);
}

std::vector<std::string> SupervisedTrainData::warnings() const {
  if (num_empty_ == 0) return {};
  return {fmt::format(
      "[data] {} of {} texts are left out: no token of theirs is predicted within data.max_tokens "
      "{} (first: {}).",
      num_empty_, num_read_, config_.data.max_tokens, first_empty_)};
}

BatchSizes SupervisedTrainData::measure_batches(int64_t num_epochs) const {
  return measure_epochs(
      num_epochs, config_.training.groups, [this](int64_t epoch) { return order(epoch); },
      [this](BatchSize& batch, int64_t number, int64_t /*epoch*/) {
        batch.add_text(lengths_[static_cast<size_t>(number)]);
      });
}

void SupervisedTrainData::print_examples(int64_t count) const {
  const std::vector<int64_t> numbers = order(/*epoch=*/0);
  const auto shown = std::min(numbers.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const SupervisedText& text = texts_[static_cast<size_t>(numbers[i])];
    const data::MaskedText encoded = encoder_.encode(text);
    std::cout << fmt::format("{}Example {} of {} (epoch 0): {}\n{}: {} tokens, {} predicted{}\n",
                             i > 0 ? "\n" : "", i + 1, numbers.size(), text.where,
                             data::form_name(text.form), encoded.ids.size(),
                             encoded.num_predicted(), encoded.is_cut ? ", cut" : "")
              << token_table(encoder_.text_encoder().tokenizer(), encoded.ids, encoded.predicted);
  }
}

std::unique_ptr<SupervisedTrainData> read_supervised_data(const TrainConfig& config,
                                                          const DataFiles& files, Faults& faults) {
  using training::SelectionMetric;
  const SelectionMetric metric = config.evaluation.metric;
  const bool compares_sides =
      metric == SelectionMetric::kSeparation || metric == SelectionMetric::kRatio;
  if (!files.is_trained_on && compares_sides) {
    ConfigFaults(config, faults)
        .add("evaluation.metric",
             "got {}, expected loss: the texts of data.eval have no toxic side. Contrast records "
             "have one.",
             config::enum_name(metric));
  }
  data::SupervisedContent content = data::read_supervised(files.files, files.encoder.get());
  faults.append(content.faults);
  if (files.encoder == nullptr || (content.texts.empty() && !faults.empty())) return nullptr;
  return std::make_unique<SupervisedTrainData>(config, files, std::move(content.texts));
}

std::unique_ptr<RunData> texts_run_data(const TrainConfig& config) {
  return std::make_unique<RunDataOf<SupervisedTrainData>>(
      [&config](const DataFiles& files, Faults& faults) {
        return read_supervised_data(config, files, faults);
      },
      [&config](const SupervisedTrainData& train, const SupervisedTrainData* eval,
                const TaskContext& /*context*/) {
        return training::supervised_step(
            {.train = train.texts(),
             .eval = eval != nullptr ? eval->texts() : std::span<const SupervisedText>(),
             .encoder = train.encoder(),
             .texts_per_micro_batch = config.training.groups,
             .drop_last = config.data.drop_last,
             .shuffle = config.data.shuffle,
             .seed = static_cast<uint64_t>(config.training.seed)});
      });
}

// Contrast records or texts, as the first file says; training and evaluation have the same.
class EitherRunData final : public RunData {
 public:
  EitherRunData(const TrainConfig& config, std::unique_ptr<RunData> contrast)
      : config_(config), contrast_(std::move(contrast)), texts_(texts_run_data(config)) {}

  Faults read(DataFiles files) override {
    Faults faults;
    const std::string_view key = files.is_trained_on ? "data.train" : "data.eval";
    for (const auto& file : files.files) {
      const bool holds_texts = data::holds_supervised(file);
      if (!holds_texts_) {
        holds_texts_ = holds_texts;
        first_ = file.string();
      } else if (holds_texts != *holds_texts_) {
        ConfigFaults(config_, faults)
            .add(key, "got {} in '{}' and {} in '{}', expected files of one kind.",
                 kind_name(*holds_texts_), first_, kind_name(holds_texts), file.string());
        return faults;
      }
    }
    return current().read(std::move(files));
  }
  const TrainData* train() const override { return current().train(); }
  const TrainData* eval() const override { return current().eval(); }
  std::unique_ptr<training::StepTask> make_task(const TaskContext& context) const override {
    return current().make_task(context);
  }

 private:
  static std::string_view kind_name(bool holds_texts) {
    return holds_texts ? "texts" : "contrast records";
  }
  RunData& current() const { return holds_texts_.value_or(false) ? *texts_ : *contrast_; }

  const TrainConfig& config_;
  std::unique_ptr<RunData> contrast_;
  std::unique_ptr<RunData> texts_;
  std::optional<bool> holds_texts_;
  std::string first_;  // the file that told
};

}  // namespace

std::unique_ptr<RunData> supervised_run_data(const TrainConfig& config,
                                             std::unique_ptr<RunData> contrast) {
  return std::make_unique<EitherRunData>(config, std::move(contrast));
}

}  // namespace cpx::recipes
