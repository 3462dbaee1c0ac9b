// SPDX-License-Identifier: Apache-2.0
#include "contrast_data.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "cpx/training/contrast_step.h"
#include "cpx/training/sft_step.h"
#include "fingerprint.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

// Lengths of texts by address; a text is encoded once however often it is drawn.
class TextLengthCache {
 public:
  explicit TextLengthCache(const data::TextEncoder& encoder) : encoder_(encoder) {}

  int64_t of(const std::string& text) {
    const auto [found, is_new] = lengths_.try_emplace(&text, 0);
    if (is_new) found->second = static_cast<int64_t>(encoder_.encode(text).ids.size());
    return found->second;
  }

 private:
  const data::TextEncoder& encoder_;
  std::map<const std::string*, int64_t> lengths_;
};

// The enums of the config and of the objective list the same names in the same order.
objectives::ContrastiveOptions contrastive_options(const ContrastivePerplexityOptions& options) {
  using Target = objectives::ContrastiveOptions;
  return {.alpha = options.alpha,
          .beta = options.beta,
          .tau = options.tau,
          .label_smoothing = options.label_smoothing,
          .centroid = static_cast<Target::Centroid>(options.centroid),
          .distance = static_cast<Target::Distance>(options.distance),
          .padding = static_cast<Target::Padding>(options.padding),
          .anchor = options.anchor,
          .hold = options.hold};
}

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

data::GroupOptions group_options(const TrainConfig& config) {
  data::GroupOptions options{.num_positives = 0,
                             .num_hard_negatives = 0,
                             .num_random_negatives = 0,
                             .shuffle = config.data.shuffle,
                             .seed = static_cast<uint64_t>(config.training.seed)};
  if (const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config.objective)) {
    options.num_positives = contrast->num_positives;
    options.num_hard_negatives = contrast->num_hard_negatives;
    options.num_random_negatives = contrast->num_random_negatives;
  } else if (const auto* sft = std::get_if<SftOptions>(&config.objective)) {
    options.num_positives = sft->num_positives;
  }
  return options;
}

ContrastData::ContrastData(const TrainConfig& config, size_t num_files,
                           std::vector<data::Record> records,
                           std::shared_ptr<const data::TextEncoder> encoder)
    : config_(config),
      num_files_(num_files),
      records_(std::move(records)),
      encoder_(std::move(encoder)),
      groups_(records_, group_options(config)) {}

std::string ContrastData::summary() const {
  return fmt::format("{} {}, {} records: {} used, {} skipped{}", num_files_,
                     num_files_ == 1 ? "file" : "files", records_.size(), groups_.num_groups(),
                     groups_.num_skipped(),
                     groups_.num_skipped() > 0 ? " (fewer texts than the objective needs)" : "");
}

std::string ContrastData::lengths() const {
  TextLengths lengths;
  const auto add = [&](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      const data::EncodedText encoded = encoder_->encode(text);
      const auto tokens = static_cast<int64_t>(encoded.ids.size());
      ++lengths.texts;
      lengths.tokens += tokens;
      lengths.longest = std::max(lengths.longest, tokens);
      lengths.cut += encoded.is_cut ? 1 : 0;
      lengths.empty += tokens < 2 ? 1 : 0;
    }
  };
  for (const int64_t index : groups_.usable_records()) {
    const data::Record& record = records_[static_cast<size_t>(index)];
    add(record.neutral);
    add(record.toxic);
  }
  return lengths_line(lengths, config_.data.max_tokens);
}

std::string ContrastData::fingerprint() const { return records_fingerprint(records_); }

BatchSizes ContrastData::measure_batches(int64_t num_epochs) const {
  TextLengthCache lengths(*encoder_);
  BatchMeter meter;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = groups_.epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      BatchSize batch;
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config_.training.groups));
      for (; begin < end; ++begin) {
        for (const data::DrawnText& drawn : groups_.draw(order[begin], epoch).texts) {
          const int64_t length = lengths.of(groups_.text(drawn));
          batch.tokens += length;
          batch.texts += 1;
          batch.longest_text = std::max(batch.longest_text, length);
        }
      }
      meter.add(batch);
    }
  }
  return meter.sizes();
}

void ContrastData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = groups_.epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) std::cout << "\n";
    std::cout << fmt::format("Example {} of {} (epoch 0): ", i + 1, order.size());
    const data::Record& record = records_[static_cast<size_t>(order[i])];
    print_example(groups_, record, groups_.draw(order[i], /*epoch=*/0), *encoder_);
  }
}

std::unique_ptr<training::StepTask> ContrastData::make_task(const TrainData* evaluation,
                                                            const TaskContext& /*context*/) const {
  std::span<const data::Record> eval_records;
  if (evaluation != nullptr) {
    eval_records = static_cast<const ContrastData*>(evaluation)->records_;
  }
  const data::GroupOptions counts = group_options(config_);
  if (const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&config_.objective)) {
    return std::make_unique<training::ContrastStep>(
        records_, eval_records, *encoder_,
        training::ContrastStepOptions{.groups = counts,
                                      .groups_per_micro_batch = config_.training.groups,
                                      .drop_last = config_.data.drop_last,
                                      .objective = contrastive_options(*contrast)});
  }
  return std::make_unique<training::SftStep>(
      records_, eval_records, *encoder_,
      training::SftStepOptions{.num_positives = counts.num_positives,
                               .shuffle = counts.shuffle,
                               .seed = counts.seed,
                               .groups_per_micro_batch = config_.training.groups,
                               .drop_last = config_.data.drop_last});
}

}  // namespace cpx::recipes
