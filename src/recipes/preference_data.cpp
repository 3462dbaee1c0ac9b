// SPDX-License-Identifier: Apache-2.0
#include "preference_data.h"

#include <algorithm>
#include <iostream>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/pair_batch.h"
#include "cpx/data/pair_encoder.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

std::string pairs_fingerprint(std::span<const data::PreferenceItem> items) {
  TextHash hash;
  for (const data::PreferenceItem& item : items) {
    hash.add_text(item.prompt);
    for (const std::string& text : item.chosen) hash.add_text(text);
    hash.add_text("rejected");
    for (const std::string& text : item.rejected) hash.add_text(text);
  }
  return fmt::format("{} items, {}", items.size(), hash.hex());
}

// Where no pair is left because answers had to go, the reason is told, not the end of it.
std::shared_ptr<const data::PreferencePairs> make_pairs(std::span<const data::PreferenceItem> items,
                                                        const data::PairOptions& options,
                                                        const data::AnswerCounts& counts,
                                                        const data::PairEncoder& encoder) {
  try {
    return std::make_shared<data::PreferencePairs>(items, options);
  } catch (const DataError&) {
    const auto reasons = data::warning_lines(counts, encoder);
    if (counts.empty + counts.equal == 0 || reasons.empty()) throw;
    throw_<DataError>("{} No pair is left.", reasons.front());
  }
}

// The pairs of training or of evaluation.
class PreferenceData : public TrainData {
 public:
  /// Takes the answers out that no pair can use. Throws DataError when no item gives a pair.
  PreferenceData(const TrainConfig& config, const PreferenceKeys& keys, const DataFiles& files,
                 data::PreferenceContent content)
      : config_(config),
        keys_(keys),
        num_files_(files.files.size()),
        num_without_input_(content.num_without_input),
        items_(std::move(content.items)),
        fingerprint_(pairs_fingerprint(items_)),
        encoder_(*files.encoder, keys.max_prompt_tokens),
        counts_(data::drop_unusable(items_, encoder_)),
        pairs_(make_pairs(items_, pair_options(files.is_trained_on), counts_, encoder_)) {}

  int64_t num_units() const override { return pairs_->num_pairs(); }
  std::string_view unit_name() const override { return "pairs"; }
  std::string summary() const override;
  std::string ends() const override { return encoder_.text_encoder().describe_ends(); }
  std::string lengths() const override;
  std::vector<std::string> warnings() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override;
  std::string fingerprint() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;

  const std::shared_ptr<const data::PreferencePairs>& pairs() const { return pairs_; }
  const data::PairEncoder& encoder() const { return encoder_; }

 private:
  // Evaluation takes the pairs in file order.
  data::PairOptions pair_options(bool is_trained_on) const {
    data::PairOptions options = keys_.pairs;
    options.shuffle = is_trained_on && config_.data.shuffle;
    options.seed = static_cast<uint64_t>(config_.training.seed);
    return options;
  }

  const TrainConfig& config_;
  const PreferenceKeys& keys_;
  size_t num_files_;
  int64_t num_without_input_;
  std::vector<data::PreferenceItem> items_;
  std::string fingerprint_;  // of the items as they were read
  data::PairEncoder encoder_;
  data::AnswerCounts counts_;
  std::shared_ptr<const data::PreferencePairs> pairs_;
};

std::string PreferenceData::summary() const {
  return fmt::format("{}, {}: {} used, {} skipped{}; {} an epoch{}",
                     counted(static_cast<int64_t>(num_files_), "file"),
                     counted(std::ssize(items_), "prompt"), pairs_->num_items(),
                     pairs_->num_skipped(),
                     pairs_->num_skipped() > 0 ? " (fewer answers than a pair needs)" : "",
                     counted(pairs_->num_pairs(), "pair"), without_input_part(num_without_input_));
}

std::string PreferenceData::lengths() const {
  const int64_t kept = counts_.answers - counts_.empty - counts_.equal;
  return lengths_line(
      {.texts = kept, .tokens = counts_.tokens, .longest = counts_.longest, .cut = counts_.cut},
      config_.data.max_tokens);
}

std::vector<std::string> PreferenceData::warnings() const {
  return data::warning_lines(counts_, encoder_);
}

void PreferenceData::visit_texts(const std::function<void(std::string_view)>& visit) const {
  for (const data::PreferenceItem& item : items_) {
    for (const std::string& text : item.chosen) visit(text);
    for (const std::string& text : item.rejected) visit(text);
  }
}

std::string PreferenceData::fingerprint() const { return fingerprint_; }

BatchSizes PreferenceData::measure_batches(int64_t num_epochs) const {
  BatchMeter meter;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = pairs_->epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config_.training.groups));
      std::vector<data::EncodedPair> encoded;
      for (; begin < end; ++begin) {
        const data::DrawnPair drawn = pairs_->draw(order[begin], epoch);
        encoded.push_back(encoder_.encode(pairs_->item(drawn), drawn));
      }
      const auto packed = data::pack_pairs(encoded, keys_.share_prompts);
      BatchSize batch{.tokens = packed.num_tokens, .texts = std::ssize(packed.texts)};
      for (size_t i = 0; i + 1 < packed.cu_seqlens.size(); ++i) {
        batch.longest_text =
            std::max<int64_t>(batch.longest_text, packed.cu_seqlens[i + 1] - packed.cu_seqlens[i]);
      }
      meter.add(batch);
    }
  }
  return meter.sizes();
}

void PreferenceData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = pairs_->epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const data::DrawnPair drawn = pairs_->draw(order[i], /*epoch=*/0);
    std::cout << fmt::format("{}Pair {} of {} (epoch 0): {}\n", i > 0 ? "\n" : "", i + 1,
                             order.size(), pairs_->item(drawn).where)
              << pair_tables(encoder_.tokenizer(), encoder_.encode(pairs_->item(drawn), drawn));
  }
}

std::unique_ptr<PreferenceData> read_preference_data(const TrainConfig& config,
                                                     const PreferenceKeys& keys,
                                                     const DataFiles& files,
                                                     std::vector<std::string>& faults) {
  data::PreferenceContent content = data::read_preferences(files.files, keys.prompt);
  faults.insert(faults.end(), content.faults.begin(), content.faults.end());
  if (files.encoder == nullptr || (content.items.empty() && !faults.empty())) return nullptr;
  return std::make_unique<PreferenceData>(config, keys, files, std::move(content));
}

}  // namespace

void PreferenceKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("prompt", prompt,
              "What a record's input becomes a prompt by, at {input} (published: this one); files "
              "of pairs may have prompts of their own");
  visit.field("pairs_per_group", pairs.pairs_per_group,
              "At most so many pairs of a prompt in an epoch; 0: every pairing of its answers",
              {.at_least = 0});
  visit.field("rejected_per_chosen", pairs.rejected_per_chosen,
              "Rejected answers in a pair; 0: all of the prompt", {.at_least = 0});
  visit.field("max_prompt_tokens", max_prompt_tokens,
              "A longer prompt loses its beginning; 0: no limit but data.max_tokens",
              {.at_least = 0});
  visit.field("share_prompts", share_prompts,
              "Computes a pair's prompt once for all its answers: less time and memory, the same "
              "numbers");
}

void PreferenceKeys::check(const TrainConfig& config, ConfigFaults& faults) const {
  if (prompt.find("{input}") == std::string::npos) {
    faults.add("objective.prompt",
               "got '{}', expected {{input}} in it, where a record's input goes.", prompt);
  }
  if (max_prompt_tokens >= config.data.max_tokens) {
    faults.add("objective.max_prompt_tokens",
               "got {} beside data.max_tokens {}, expected less: an answer needs room.",
               max_prompt_tokens, config.data.max_tokens);
  }
}

void PreferenceKeys::check_single_rejected(std::string_view objective, ConfigFaults& faults) const {
  if (pairs.rejected_per_chosen == 1) return;
  faults.add("objective.rejected_per_chosen", "got {}, expected 1: {} has one rejected answer.",
             pairs.rejected_per_chosen, objective);
}

BatchSizes PreferenceKeys::batch_bound(const TrainConfig& config) const {
  const int64_t answers = 1 + std::max<int64_t>(1, pairs.rejected_per_chosen);
  return recipes::batch_bound(config.training.groups * answers, config.data.max_tokens);
}

std::unique_ptr<RunData> preference_run_data(const TrainConfig& config, const PreferenceKeys& keys,
                                             training::PreferenceObjective objective) {
  return std::make_unique<RunDataOf<PreferenceData>>(
      [&](const DataFiles& files, std::vector<std::string>& faults) {
        return read_preference_data(config, keys, files, faults);
      },
      [&, objective = std::move(objective)](const PreferenceData& train, const PreferenceData* eval,
                                            const TaskContext& context) {
        return std::make_unique<training::PreferenceStep>(
            training::PairData{.train = train.pairs(),
                               .eval = eval != nullptr ? eval->pairs() : nullptr,
                               .encoder = train.encoder(),
                               .pairs_per_micro_batch = config.training.groups,
                               .drop_last = config.data.drop_last,
                               .shares_prompts = keys.share_prompts},
            objective, context.reference);
      });
}

}  // namespace cpx::recipes
