// SPDX-License-Identifier: Apache-2.0
#include "contrast_data.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/item_role.h"
#include "cpx/core/text.h"
#include "cpx/data/variant_items.h"
#include "cpx/training/contrast_step.h"
#include "cpx/training/cycle_step.h"
#include "cpx/training/prototype_step.h"
#include "cpx/training/retain_step.h"
#include "cpx/training/sft_step.h"
#include "cpx/training/transfer_step.h"
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

objectives::CycleOptions cycle_options(const CycleOptions& options) {
  using Target = objectives::CycleOptions;
  return {.alpha = options.alpha,
          .label_smoothing = options.label_smoothing,
          .centroid = static_cast<Target::Centroid>(options.centroid)};
}

training::CycleStepOptions::FineTuning fine_tuning_of(const CycleOptions& options) {
  return static_cast<training::CycleStepOptions::FineTuning>(options.fine_tuning);
}

// A text as the model sees it.
struct ShownText {
  std::string_view role;
  std::vector<tokenizer::TokenId> ids;
  bool is_cut = false;
};

// The objective trains on concatenations or instruction pairs, which are encoded as a whole.
bool has_items(const ObjectiveOptions& objective) {
  return std::holds_alternative<TransferOptions>(objective) ||
         std::holds_alternative<CycleOptions>(objective);
}

template <class Item>
void add_items(std::vector<Item> items, std::vector<ShownText>& shown) {
  for (Item& item : items) {
    shown.push_back({.role = role_name(item.role), .ids = std::move(item.ids)});
  }
}

// What the objective trains on of a drawn group.
std::vector<ShownText> shown_texts(const ObjectiveOptions& objective,
                                   const data::ContrastGroups& groups,
                                   const data::DrawnGroup& drawn,
                                   const data::TextEncoder& encoder) {
  std::vector<ShownText> shown;
  if (std::holds_alternative<TransferOptions>(objective)) {
    add_items(data::transfer_items(data::group_texts(groups, drawn), encoder), shown);
  } else if (const auto* cycle = std::get_if<CycleOptions>(&objective)) {
    add_items(training::used_cycle_items(data::group_texts(groups, drawn), encoder,
                                         fine_tuning_of(*cycle)),
              shown);
  } else {
    for (const data::DrawnText& text : drawn.texts) {
      data::EncodedText encoded = encoder.encode(groups.text(text));
      shown.push_back(
          {.role = role_name(text.role), .ids = std::move(encoded.ids), .is_cut = encoded.is_cut});
    }
  }
  return shown;
}

// Lengths of what the objective trains on of a drawn group.
std::vector<int64_t> lengths_of(const ObjectiveOptions& objective,
                                const data::ContrastGroups& groups, const data::DrawnGroup& drawn,
                                const data::TextEncoder& encoder, TextLengthCache& cache) {
  std::vector<int64_t> lengths;
  if (has_items(objective)) {
    for (const ShownText& text : shown_texts(objective, groups, drawn, encoder)) {
      lengths.push_back(std::ssize(text.ids));
    }
  } else {
    for (const data::DrawnText& text : drawn.texts) {
      lengths.push_back(cache.of(groups.text(text)));
    }
  }
  return lengths;
}

void print_text(const ShownText& text, const data::TextEncoder& encoder) {
  std::cout << fmt::format("{}: {} tokens, {} predicted{}\n", text.role, text.ids.size(),
                           text.ids.empty() ? 0 : text.ids.size() - 1, text.is_cut ? ", cut" : "")
            << token_table(encoder.tokenizer(), text.ids);
}

}  // namespace

data::GroupOptions group_options(const TrainConfig& config) {
  data::GroupOptions options{.num_positives = 0,
                             .num_hard_negatives = 0,
                             .num_random_negatives = 0,
                             .shuffle = config.data.shuffle,
                             .seed = static_cast<uint64_t>(config.training.seed)};
  const auto take_counts = [&options](const auto& objective) {
    if constexpr (requires { objective.num_positives; }) {
      options.num_positives = objective.num_positives;
    }
    if constexpr (requires { objective.num_hard_negatives; }) {
      options.num_hard_negatives = objective.num_hard_negatives;
    }
    if constexpr (requires { objective.num_random_negatives; }) {
      options.num_random_negatives = objective.num_random_negatives;
    }
  };
  std::visit(take_counts, config.objective);
  options.with_input = std::holds_alternative<PrototypeOptions>(config.objective) ||
                       std::holds_alternative<TransferOptions>(config.objective);
  return options;
}

ContrastData::ContrastData(const TrainConfig& config, size_t num_files,
                           std::vector<data::Record> records, RetainedTexts retained,
                           std::shared_ptr<const data::TextEncoder> encoder)
    : config_(config),
      num_files_(num_files),
      records_(std::move(records)),
      retained_(std::move(retained)),
      encoder_(std::move(encoder)),
      groups_(records_, group_options(config)) {}

std::string ContrastData::summary() const {
  const std::string retained =
      retained_.texts.empty()
          ? ""
          : fmt::format("; {} in {}", counted(std::ssize(retained_.texts), "retained text"),
                        counted(static_cast<int64_t>(retained_.num_files), "file"));
  return fmt::format(
      "{}, {}: {} used, {} skipped{}{}", counted(static_cast<int64_t>(num_files_), "file"),
      counted(std::ssize(records_), "record"), groups_.num_groups(), groups_.num_skipped(),
      groups_.num_skipped() > 0 ? " (fewer texts than the objective needs)" : "", retained);
}

std::string ContrastData::lengths() const {
  TextLengths lengths;
  const auto add = [&](const data::EncodedText& encoded) {
    const auto tokens = static_cast<int64_t>(encoded.ids.size());
    ++lengths.texts;
    lengths.tokens += tokens;
    lengths.longest = std::max(lengths.longest, tokens);
    lengths.cut += encoded.is_cut ? 1 : 0;
    lengths.empty += tokens < 2 ? 1 : 0;
  };
  const bool with_input = group_options(config_).with_input;
  for (const int64_t index : groups_.usable_records()) {
    const data::Record& record = records_[static_cast<size_t>(index)];
    if (with_input) add(encoder_->encode(record.input));
    for (const std::string& text : record.neutral) add(encoder_->encode(text));
    for (const std::string& text : record.toxic) add(encoder_->encode(text));
  }
  for (const training::RetainedText& one : retained_.texts) {
    add(encoder_->encode_unframed(one.text));
  }
  return lengths_line(lengths, config_.data.max_tokens);
}

void ContrastData::visit_texts(const std::function<void(std::string_view)>& visit) const {
  for (const data::Record& record : records_) {
    for (const std::string& text : record.neutral) visit(text);
    for (const std::string& text : record.toxic) visit(text);
  }
}

std::string ContrastData::fingerprint() const {
  const std::string records = records_fingerprint(records_);
  if (retained_.texts.empty()) return records;
  return fmt::format("{}; {}", records, retained_fingerprint(retained_));
}

BatchSizes ContrastData::measure_batches(int64_t num_epochs) const {
  TextLengthCache cache(*encoder_);
  BatchMeter meter;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = groups_.epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      BatchSize batch;
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config_.training.groups));
      for (; begin < end; ++begin) {
        const auto drawn = groups_.draw(order[begin], epoch);
        for (const int64_t length :
             lengths_of(config_.objective, groups_, drawn, *encoder_, cache)) {
          batch.tokens += length;
          batch.texts += 1;
          batch.longest_text = std::max(batch.longest_text, length);
        }
      }
      meter.add(batch);
    }
  }
  if (retained_.texts.empty()) return meter.sizes();
  return one_after_the_other(
      meter.sizes(),
      retained_sizes(retained_, *encoder_, retain_keys(config_.objective)->retain_texts));
}

void ContrastData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = groups_.epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) std::cout << "\n";
    std::cout << fmt::format("Example {} of {} (epoch 0): ", i + 1, order.size());
    const data::Record& record = records_[static_cast<size_t>(order[i])];
    std::cout << fmt::format("{}, target '{}'\n", record.where, record.group);
    const data::DrawnGroup drawn = groups_.draw(order[i], /*epoch=*/0);
    for (const ShownText& text : shown_texts(config_.objective, groups_, drawn, *encoder_)) {
      print_text(text, *encoder_);
    }
  }
  const auto num_retained = std::min(retained_.texts.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < num_retained; ++i) {
    const training::RetainedText& one = retained_.texts[i];
    std::cout << fmt::format("\nRetained text {} of {}: {}\n", i + 1, retained_.texts.size(),
                             one.where);
    data::EncodedText encoded = encoder_->encode_unframed(one.text);
    print_text({.role = "retained", .ids = std::move(encoded.ids), .is_cut = encoded.is_cut},
               *encoder_);
  }
}

std::unique_ptr<training::StepTask> ContrastData::make_group_task(
    std::span<const data::Record> eval_records, const TaskContext& context) const {
  const data::GroupOptions counts = group_options(config_);
  const auto filled = [&](auto options) {
    options.num_positives = counts.num_positives;
    options.shuffle = counts.shuffle;
    options.seed = counts.seed;
    options.groups_per_micro_batch = config_.training.groups;
    options.drop_last = config_.data.drop_last;
    if constexpr (requires { options.num_hard_negatives; }) {
      options.num_hard_negatives = counts.num_hard_negatives;
    }
    return options;
  };
  const ObjectiveOptions& objective = config_.objective;
  if (const auto* contrast = std::get_if<ContrastivePerplexityOptions>(&objective)) {
    return std::make_unique<training::ContrastStep>(
        records_, eval_records, *encoder_,
        training::ContrastStepOptions{.groups = counts,
                                      .groups_per_micro_batch = config_.training.groups,
                                      .drop_last = config_.data.drop_last,
                                      .objective = contrastive_options(*contrast),
                                      .base_cache = context.base_cache});
  }
  if (const auto* prototype = std::get_if<PrototypeOptions>(&objective)) {
    auto options = filled(training::PrototypeStepOptions{});
    options.objective.longest =
        static_cast<objectives::PrototypeOptions::Longest>(prototype->longest);
    return training::prototype_step(records_, eval_records, *encoder_, options);
  }
  if (const auto* transfer = std::get_if<TransferOptions>(&objective)) {
    auto options = filled(training::TransferStepOptions{});
    options.objective.alpha = transfer->alpha;
    return training::transfer_step(records_, eval_records, *encoder_, options);
  }
  if (const auto* cycle = std::get_if<CycleOptions>(&objective)) {
    auto options = filled(training::CycleStepOptions{});
    options.fine_tuning = fine_tuning_of(*cycle);
    options.objective = cycle_options(*cycle);
    return training::cycle_step(records_, eval_records, *encoder_, options);
  }
  return std::make_unique<training::SftStep>(records_, eval_records, *encoder_,
                                             filled(training::SftStepOptions{}));
}

std::unique_ptr<training::StepTask> ContrastData::make_task(const TrainData* evaluation,
                                                            const TaskContext& context) const {
  std::span<const data::Record> eval_records;
  if (evaluation != nullptr) {
    eval_records = static_cast<const ContrastData*>(evaluation)->records_;
  }
  auto task = make_group_task(eval_records, context);
  if (retained_.texts.empty()) return task;
  const RetainKeys& keys = *retain_keys(config_.objective);
  return std::make_unique<training::RetainedTask>(
      std::move(task), retained_.texts, *encoder_,
      training::RetainStepOptions{.weight = keys.retain,
                                  .texts_per_micro_batch = keys.retain_texts,
                                  .shuffle = config_.data.shuffle,
                                  .seed = static_cast<uint64_t>(config_.training.seed)},
      context.base_cache);
}

}  // namespace cpx::recipes
