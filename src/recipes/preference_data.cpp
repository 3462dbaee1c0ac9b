// SPDX-License-Identifier: Apache-2.0
#include "preference_data.h"

#include <algorithm>
#include <iostream>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/pair_batch.h"
#include "cpx/training/preference_step.h"
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

data::PairOptions pair_options(const TrainConfig& config) {
  const PreferenceKeys& keys = *preference_keys(config.objective);
  return {.pairs_per_group = keys.pairs_per_group,
          .rejected_per_chosen = keys.rejected_per_chosen,
          .shuffle = config.data.shuffle,
          .seed = static_cast<uint64_t>(config.training.seed)};
}

// Where no pair is left because answers had to go, the reason is told, not the end of it.
data::PreferencePairs make_pairs(std::span<const data::PreferenceItem> items,
                                 const TrainConfig& config, const data::AnswerCounts& counts,
                                 const data::PairEncoder& encoder) {
  try {
    return {items, pair_options(config)};
  } catch (const DataError&) {
    const auto reasons = data::warning_lines(counts, encoder);
    if (counts.empty + counts.equal == 0 || reasons.empty()) throw;
    throw_<DataError>("{} No pair is left.", reasons.front());
  }
}

// The enums of the config and of the objectives list the same names in the same order.
std::variant<objectives::DpoOptions, objectives::SimpoOptions> objective_options(
    const ObjectiveOptions& objective) {
  if (const auto* dpo = std::get_if<DpoOptions>(&objective)) {
    return objectives::DpoOptions{.loss = static_cast<objectives::DpoOptions::Loss>(dpo->loss),
                                  .beta = dpo->beta,
                                  .label_smoothing = dpo->label_smoothing};
  }
  const auto& simpo = std::get<SimpoOptions>(objective);
  return objectives::SimpoOptions{.loss = static_cast<objectives::SimpoOptions::Loss>(simpo.loss),
                                  .beta = simpo.beta,
                                  .gamma_beta_ratio = simpo.gamma_beta_ratio,
                                  .label_smoothing = simpo.label_smoothing,
                                  .sft_weight = simpo.sft_weight};
}

}  // namespace

const PreferenceKeys* preference_keys(const ObjectiveOptions& objective) {
  if (const auto* dpo = std::get_if<DpoOptions>(&objective)) return &dpo->preferences;
  if (const auto* simpo = std::get_if<SimpoOptions>(&objective)) return &simpo->preferences;
  return nullptr;
}

PreferenceData::PreferenceData(const TrainConfig& config, size_t num_files,
                               data::PreferenceContent content, const data::TextEncoder& encoder)
    : config_(config),
      num_files_(num_files),
      num_without_input_(content.num_without_input),
      items_(std::move(content.items)),
      fingerprint_(pairs_fingerprint(items_)),
      encoder_(encoder, preference_keys(config.objective)->max_prompt_tokens),
      counts_(data::drop_unusable(items_, encoder_)),
      pairs_(make_pairs(items_, config, counts_, encoder_)) {}

std::string PreferenceData::summary() const {
  return fmt::format("{}, {}: {} used, {} skipped{}; {} an epoch{}",
                     counted(static_cast<int64_t>(num_files_), "file"),
                     counted(std::ssize(items_), "prompt"), pairs_.num_items(),
                     pairs_.num_skipped(),
                     pairs_.num_skipped() > 0 ? " (fewer answers than a pair needs)" : "",
                     counted(pairs_.num_pairs(), "pair"), without_input_part(num_without_input_));
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
  const bool shares_prompts = preference_keys(config_.objective)->share_prompts;
  BatchMeter meter;
  for (int64_t epoch = 0; epoch < num_epochs; ++epoch) {
    const std::vector<int64_t> order = pairs_.epoch_order(epoch);
    for (size_t begin = 0; begin < order.size();) {
      const size_t end =
          std::min(order.size(), begin + static_cast<size_t>(config_.training.groups));
      std::vector<data::EncodedPair> encoded;
      for (; begin < end; ++begin) {
        const data::DrawnPair drawn = pairs_.draw(order[begin], epoch);
        encoded.push_back(encoder_.encode(pairs_.item(drawn), drawn));
      }
      const auto packed = data::pack_pairs(encoded, shares_prompts);
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
  const std::vector<int64_t> order = pairs_.epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const data::DrawnPair drawn = pairs_.draw(order[i], /*epoch=*/0);
    std::cout << fmt::format("{}Pair {} of {} (epoch 0): {}\n", i > 0 ? "\n" : "", i + 1,
                             order.size(), pairs_.item(drawn).where)
              << pair_tables(encoder_.tokenizer(), encoder_.encode(pairs_.item(drawn), drawn));
  }
}

std::unique_ptr<training::StepTask> PreferenceData::make_task(const TrainData* evaluation,
                                                              const TaskContext& context) const {
  std::span<const data::PreferenceItem> eval_items;
  if (evaluation != nullptr) {
    eval_items = static_cast<const PreferenceData*>(evaluation)->items_;
  }
  return std::make_unique<training::PreferenceStep>(
      items_, eval_items, encoder_,
      training::PreferenceStepOptions{
          .pairs = pair_options(config_),
          .pairs_per_micro_batch = config_.training.groups,
          .drop_last = config_.data.drop_last,
          .shares_prompts = preference_keys(config_.objective)->share_prompts,
          .objective = objective_options(config_.objective)},
      context.reference);
}

}  // namespace cpx::recipes
