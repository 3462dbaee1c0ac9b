// SPDX-License-Identifier: Apache-2.0
#include "contrast_data.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/training/retain_step.h"
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

// Texts that have a token which the model lacks, a fault each. Encodes all texts, where that may
// be.
class TokenCheck {
 public:
  TokenCheck(const data::TextEncoder* encoder, Faults& faults)
      : encoder_(encoder), faults_(faults) {}

  bool is_needed() const { return encoder_ != nullptr && encoder_->tokenizer().exceeds_model(); }

  void look_at(const data::Record& record, bool with_input) {
    const auto look = [&](std::string_view kind, const std::vector<std::string>& texts) {
      for (size_t i = 0; i < texts.size(); ++i) {
        add_fault(fmt::format("{}: {} text {}", record.where, kind, i + 1),
                  [&] { return encoder_->encode(texts[i]); });
      }
    };
    if (with_input) {
      add_fault(fmt::format("{}: input", record.where),
                [&] { return encoder_->encode(record.input); });
    }
    look("neutral", record.neutral);
    look("toxic", record.toxic);
  }

  void look_at(const training::RetainedText& text) {
    add_fault(text.where, [&] { return encoder_->encode_unframed(text.text); });
  }

 private:
  template <class Encode>
  void add_fault(std::string_view where, const Encode& encode) {
    faults_.collect([&] { tokenizer::at_place(where, encode); });
  }

  const data::TextEncoder* encoder_;
  Faults& faults_;
};

void print_text(const ShownText& text, const data::TextEncoder& encoder) {
  std::cout << fmt::format("{}: {} tokens, {} predicted{}\n", text.role, text.ids.size(),
                           text.ids.empty() ? 0 : text.ids.size() - 1, text.is_cut ? ", cut" : "")
            << token_table(encoder.tokenizer(), text.ids);
}

// The groups of training or of evaluation.
class ContrastData : public TrainData {
 public:
  // Throws DataError when no record can be used.
  ContrastData(const TrainConfig& config, const GroupObjective& objective, DataFiles files,
               std::vector<data::Record> records)
      : config_(config),
        objective_(objective),
        num_files_(files.files.size()),
        records_(std::move(records)),
        retained_(std::move(files.retained)),
        encoder_(std::move(files.encoder)),
        groups_(
            std::make_shared<data::ContrastGroups>(records_, group_options(files.is_trained_on))) {}

  int64_t num_units() const override { return groups_->num_groups(); }
  std::string_view unit_name() const override { return "groups"; }
  std::string summary() const override;
  std::string ends() const override { return encoder_->describe_ends(); }
  std::string lengths() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override;
  std::string fingerprint() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;

  const std::shared_ptr<const data::ContrastGroups>& groups() const { return groups_; }
  const data::TextEncoder& encoder() const { return *encoder_; }
  const RetainedTexts& retained() const { return retained_; }

 private:
  data::GroupOptions group_options(bool is_trained_on) const;
  // What the model sees of a group, and the lengths of that.
  std::vector<ShownText> shown_texts(const data::DrawnGroup& drawn) const;
  std::vector<int64_t> text_lengths(const data::DrawnGroup& drawn, TextLengthCache& cache) const;

  const TrainConfig& config_;
  const GroupObjective& objective_;
  size_t num_files_;
  std::vector<data::Record> records_;
  RetainedTexts retained_;
  std::shared_ptr<const data::TextEncoder> encoder_;
  std::shared_ptr<const data::ContrastGroups> groups_;
};

data::GroupOptions ContrastData::group_options(bool is_trained_on) const {
  data::GroupOptions options = objective_.groups;
  options.shuffle = config_.data.shuffle;
  options.seed = static_cast<uint64_t>(config_.training.seed);
  return is_trained_on ? options : training::evaluation_groups(options, records_);
}

std::vector<ShownText> ContrastData::shown_texts(const data::DrawnGroup& drawn) const {
  if (objective_.items) return objective_.items(data::group_texts(*groups_, drawn), *encoder_);
  std::vector<ShownText> shown;
  for (const data::DrawnText& text : drawn.texts) {
    data::EncodedText encoded = encoder_->encode(groups_->text(text));
    shown.push_back(
        {.role = role_name(text.role), .ids = std::move(encoded.ids), .is_cut = encoded.is_cut});
  }
  return shown;
}

std::vector<int64_t> ContrastData::text_lengths(const data::DrawnGroup& drawn,
                                                TextLengthCache& cache) const {
  std::vector<int64_t> lengths;
  if (objective_.items) {
    for (const ShownText& text : shown_texts(drawn)) lengths.push_back(std::ssize(text.ids));
  } else {
    for (const data::DrawnText& text : drawn.texts) {
      lengths.push_back(cache.of(groups_->text(text)));
    }
  }
  return lengths;
}

std::string ContrastData::summary() const {
  const std::string retained =
      retained_.texts.empty()
          ? ""
          : fmt::format("; {} in {}", counted(std::ssize(retained_.texts), "retained text"),
                        counted(static_cast<int64_t>(retained_.num_files), "file"));
  return fmt::format(
      "{}, {}: {} used, {} skipped{}{}", counted(static_cast<int64_t>(num_files_), "file"),
      counted(std::ssize(records_), "record"), groups_->num_groups(), groups_->num_skipped(),
      groups_->num_skipped() > 0 ? " (fewer texts than the objective needs)" : "", retained);
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
  const bool with_input = objective_.groups.with_input;
  for (const int64_t index : groups_->usable_records()) {
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
  const BatchSizes sizes = measure_epochs(
      num_epochs, config_.training.groups,
      [this](int64_t epoch) { return groups_->epoch_order(epoch); },
      [&](BatchSize& batch, int64_t number, int64_t epoch) {
        for (const int64_t length : text_lengths(groups_->draw(number, epoch), cache)) {
          batch.add_text(length);
        }
      });
  if (retained_.texts.empty()) return sizes;
  return one_after_the_other(sizes,
                             retained_sizes(retained_, *encoder_, objective_.retain->retain_texts));
}

void ContrastData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = groups_->epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) std::cout << "\n";
    std::cout << fmt::format("Example {} of {} (epoch 0): ", i + 1, order.size());
    const data::Record& record = records_[static_cast<size_t>(order[i])];
    std::cout << fmt::format("{}, target '{}'\n", record.where, record.group);
    const data::DrawnGroup drawn = groups_->draw(order[i], /*epoch=*/0);
    for (const ShownText& text : shown_texts(drawn)) print_text(text, *encoder_);
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

std::unique_ptr<ContrastData> read_contrast_data(const TrainConfig& config,
                                                 const GroupObjective& objective, DataFiles files,
                                                 Faults& faults) {
  using training::SelectionMetric;
  const SelectionMetric metric = config.evaluation.metric;
  const bool compares_sides = !files.is_trained_on && (metric == SelectionMetric::kSeparation ||
                                                       metric == SelectionMetric::kRatio);
  const data::GroupOptions& counts = objective.groups;
  const bool needs_toxic =
      counts.num_hard_negatives + counts.num_random_negatives > 0 || compares_sides;
  data::ShardContent content = data::read_shards(files.files, {.toxic = needs_toxic});
  faults.append(content.faults);
  if (content.records.empty() && !faults.empty()) return nullptr;
  if (TokenCheck check(files.encoder.get(), faults); check.is_needed()) {
    const bool with_input = counts.with_input || objective.encodes_inputs;
    for (const data::Record& record : content.records) check.look_at(record, with_input);
    for (const training::RetainedText& text : files.retained.texts) check.look_at(text);
  }
  return std::make_unique<ContrastData>(config, objective, std::move(files),
                                        std::move(content.records));
}

std::unique_ptr<training::StepTask> make_contrast_task(const TrainConfig& config,
                                                       const GroupObjective& objective,
                                                       const ContrastData& train,
                                                       const ContrastData* eval,
                                                       const TaskContext& context) {
  auto task = objective.make_task({.train = train.groups(),
                                   .eval = eval != nullptr ? eval->groups() : nullptr,
                                   .encoder = train.encoder(),
                                   .groups_per_micro_batch = config.training.groups,
                                   .drop_last = config.data.drop_last,
                                   .shares_prefixes = config.data.share_prefixes},
                                  context);
  if (train.retained().texts.empty()) return task;
  return std::make_unique<training::RetainedTask>(
      std::move(task), train.retained().texts, train.encoder(),
      training::RetainStepOptions{.weight = objective.retain->retain,
                                  .texts_per_micro_batch = objective.retain->retain_texts,
                                  .shuffle = config.data.shuffle,
                                  .seed = static_cast<uint64_t>(config.training.seed)},
      context.base_cache);
}

}  // namespace

std::unique_ptr<RunData> contrast_run_data(const TrainConfig& config, GroupObjective objective) {
  const auto shared = std::make_shared<const GroupObjective>(std::move(objective));
  return std::make_unique<RunDataOf<ContrastData>>(
      [&config, shared](DataFiles files, Faults& faults) {
        return read_contrast_data(config, *shared, std::move(files), faults);
      },
      [&config, shared](const ContrastData& train, const ContrastData* eval,
                        const TaskContext& context) {
        return make_contrast_task(config, *shared, train, eval, context);
      });
}

BatchSizes group_batch_bound(const TrainConfig& config, int64_t texts_in_group, int64_t longest,
                             const RetainKeys* retain) {
  const BatchSizes bound = batch_bound(config.training.groups * texts_in_group, longest);
  if (retain == nullptr || retain->retain == 0) return bound;
  return one_after_the_other(bound, batch_bound(retain->retain_texts, config.data.max_tokens));
}

}  // namespace cpx::recipes
