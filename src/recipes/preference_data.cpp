// SPDX-License-Identifier: Apache-2.0
#include "preference_data.h"

#include <algorithm>
#include <iostream>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/text.h"
#include "cpx/data/pair_batch.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

// The pairs of training or of evaluation.
class PreferenceData : public AnswerData {
 public:
  // Throws DataError when no item gives a pair.
  PreferenceData(const TrainConfig& config, const DataFiles& files, data::PreferenceContent content,
                 const PreferenceKeys& keys)
      : AnswerData(config, keys.prompts, files, std::move(content)),
        keys_(keys),
        pairs_(drawn_from_items("pair", [&](std::span<const data::PreferenceItem> items) {
          return std::make_shared<data::PreferencePairs>(items, pair_options(files.is_trained_on));
        })) {}

  int64_t num_units() const override { return pairs_->num_pairs(); }
  std::string_view unit_name() const override { return "pairs"; }
  std::string summary() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;

  const std::shared_ptr<const data::PreferencePairs>& pairs() const { return pairs_; }

 private:
  // Evaluation takes the pairs in file order.
  data::PairOptions pair_options(bool is_trained_on) const {
    data::PairOptions options = keys_.pairs;
    options.shuffle = is_trained_on && config().data.shuffle;
    options.seed = static_cast<uint64_t>(config().training.seed);
    return options;
  }

  const PreferenceKeys& keys_;
  std::shared_ptr<const data::PreferencePairs> pairs_;
};

std::string PreferenceData::summary() const {
  return fmt::format(
      "{}; {} an epoch{}",
      used_part(pairs_->num_items(), pairs_->num_skipped(), "fewer answers than a pair needs"),
      counted(pairs_->num_pairs(), "pair"), without_input_part());
}

BatchSizes PreferenceData::measure_batches(int64_t num_epochs) const {
  BatchMeter meter;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = pairs_->epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config().training.groups));
      std::vector<data::EncodedPair> encoded;
      for (; begin < end; ++begin) {
        const data::DrawnPair drawn = pairs_->draw(order[begin], epoch);
        encoded.push_back(encoder().encode(pairs_->item(drawn), drawn));
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
              << pair_tables(encoder().tokenizer(), encoder().encode(pairs_->item(drawn), drawn));
  }
}

}  // namespace

void PreferenceKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("prompt", prompts.prompt,
              "What a record's input becomes a prompt by, at {input} (published: this one); files "
              "of pairs may have prompts of their own");
  visit.field("pairs_per_group", pairs.pairs_per_group,
              "At most so many pairs of a prompt in an epoch; 0: every pairing of its answers",
              {.at_least = 0});
  visit.field("rejected_per_chosen", pairs.rejected_per_chosen,
              "Rejected answers in a pair; 0: all of the prompt", {.at_least = 0});
  visit.field("max_prompt_tokens", prompts.max_prompt_tokens,
              "A longer prompt loses its beginning; 0: no limit but data.max_tokens",
              {.at_least = 0});
  visit.field("share_prompts", share_prompts,
              "Computes a pair's prompt once for all its answers: less time and memory, the same "
              "numbers");
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
      [&](const DataFiles& files, Faults& faults) {
        auto content =
            data::read_preferences(files.files, keys.prompts.prompt, files.encoder.get());
        return answer_data<PreferenceData>(config, files, std::move(content), faults, keys);
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
