// SPDX-License-Identifier: Apache-2.0
#include "train_data.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "contrast_data.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "cpx/data/preferences.h"
#include "cpx/data/record.h"
#include "cpx/tokenizer/limited.h"
#include "faults.h"
#include "preference_data.h"
#include "prompt_data.h"

namespace cpx::recipes {

namespace {

// Texts that have a token which the model lacks, a fault each. Encodes all texts, where that may
// be.
class TokenCheck {
 public:
  TokenCheck(const data::TextEncoder* encoder, std::vector<std::string>& faults)
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
    try {
      tokenizer::at_place(where, encode);
    } catch (const DataError& error) {
      faults_.emplace_back(error.what());
    }
  }

  const data::TextEncoder* encoder_;
  std::vector<std::string>& faults_;
};

std::unique_ptr<TrainData> load_contrast_data(const TrainConfig& config,
                                              std::span<const std::filesystem::path> files,
                                              RetainedTexts retained,
                                              std::shared_ptr<const data::TextEncoder> encoder,
                                              bool is_trained_on,
                                              std::vector<std::string>& faults) {
  const data::GroupOptions counts = group_options(config);
  const bool compares_sides =
      !is_trained_on && (config.evaluation.metric == SelectionMetric::kSeparation ||
                         config.evaluation.metric == SelectionMetric::kRatio);
  const bool needs_toxic =
      counts.num_hard_negatives + counts.num_random_negatives > 0 || compares_sides;
  data::ShardContent content = data::read_shards(files, {.toxic = needs_toxic});
  faults.insert(faults.end(), content.faults.begin(), content.faults.end());
  if (content.records.empty() && !faults.empty()) return nullptr;
  if (TokenCheck check(encoder.get(), faults); check.is_needed()) {
    const bool with_input =
        group_options(config).with_input || std::holds_alternative<CycleOptions>(config.objective);
    for (const data::Record& record : content.records) check.look_at(record, with_input);
    for (const training::RetainedText& text : retained.texts) check.look_at(text);
  }
  return std::make_unique<ContrastData>(config, files.size(), std::move(content.records),
                                        std::move(retained), std::move(encoder));
}

std::unique_ptr<TrainData> load_preference_data(const TrainConfig& config,
                                                std::span<const std::filesystem::path> files,
                                                const data::TextEncoder* encoder,
                                                std::vector<std::string>& faults) {
  data::PreferenceContent content =
      data::read_preferences(files, preference_keys(config.objective)->prompt);
  faults.insert(faults.end(), content.faults.begin(), content.faults.end());
  if (encoder == nullptr || (content.items.empty() && !faults.empty())) return nullptr;
  return std::make_unique<PreferenceData>(config, files.size(), std::move(content), *encoder);
}

std::unique_ptr<TrainData> load_prompt_data(const TrainConfig& config,
                                            std::span<const std::filesystem::path> files,
                                            std::shared_ptr<const data::TextEncoder> encoder,
                                            bool is_trained_on, std::vector<std::string>& faults) {
  data::PreferenceContent content = data::read_prompts(files, config.rollout.prompt);
  faults.insert(faults.end(), content.faults.begin(), content.faults.end());
  if (encoder == nullptr || (content.items.empty() && !faults.empty())) return nullptr;
  return std::make_unique<PromptData>(config, files.size(), std::move(content), std::move(encoder),
                                      is_trained_on);
}

std::unique_ptr<TrainData> load_data(const TrainConfig& config,
                                     std::span<const std::filesystem::path> files,
                                     RetainedTexts retained,
                                     std::shared_ptr<const data::TextEncoder> encoder,
                                     bool is_trained_on, std::vector<std::string>& faults) {
  if (std::holds_alternative<PpoOptions>(config.objective)) {
    return load_prompt_data(config, files, std::move(encoder), is_trained_on, faults);
  }
  if (preference_keys(config.objective) != nullptr) {
    return load_preference_data(config, files, encoder.get(), faults);
  }
  return load_contrast_data(config, files, std::move(retained), std::move(encoder), is_trained_on,
                            faults);
}

}  // namespace

LoadedData load_train_data(const TrainConfig& config, std::string_view key,
                           const std::vector<std::string>& patterns,
                           std::shared_ptr<const data::TextEncoder> encoder) {
  LoadedData loaded;
  std::vector<std::string> pattern_faults;
  const auto files = data::expand_globs(patterns, pattern_faults);
  for (const std::string& fault : pattern_faults) {
    loaded.faults.push_back(fmt::format("[{}] {}: {}", config.sources.where(key), key, fault));
  }
  RetainedTexts retained;
  if (key == "data.train") retained = load_retained(config, loaded.faults);
  try {
    loaded.data = load_data(config, files, std::move(retained), std::move(encoder),
                            /*is_trained_on=*/key == "data.train", loaded.faults);
  } catch (const DataError& error) {  // nothing can be used
    loaded.faults.emplace_back(error.what());
  }
  return loaded;
}

void throw_if_faulty(const LoadedData& loaded) {
  throw_first_of(loaded.faults, ": --validate shows all");
}

BatchSizes batch_bound(const TrainConfig& config) {
  if (std::holds_alternative<PpoOptions>(config.objective)) {
    const RolloutOptions& rollout = config.rollout;
    const int64_t prompt_tokens =
        rollout.max_prompt_tokens > 0 ? rollout.max_prompt_tokens : config.data.max_tokens;
    return batch_bound(config.training.groups, prompt_tokens + rollout.max_new_tokens);
  }
  const data::GroupOptions counts = group_options(config);
  const int64_t both_sides = counts.num_positives + counts.num_hard_negatives;
  const int64_t max_tokens = config.data.max_tokens;
  const auto of_groups = [&](int64_t texts, int64_t longest) {
    return batch_bound(config.training.groups * texts, longest);
  };
  if (std::holds_alternative<PpoOptions>(config.objective)) return of_groups(1, max_tokens);
  BatchSizes bound;
  if (const PreferenceKeys* keys = preference_keys(config.objective)) {
    bound = of_groups(1 + std::max<int64_t>(1, keys->rejected_per_chosen), max_tokens);
  } else if (std::holds_alternative<TransferOptions>(config.objective)) {
    bound = of_groups(counts.num_positives + both_sides, 2 * max_tokens);
  } else if (const auto* cycle = std::get_if<CycleOptions>(&config.objective)) {
    const bool is_of_pairs = cycle->fine_tuning == CycleFineTuning::kPairs;
    bound = of_groups(2 * both_sides + (is_of_pairs ? counts.num_positives : 0), max_tokens);
  } else {
    bound = of_groups(both_sides + counts.num_random_negatives + (counts.with_input ? 1 : 0),
                      max_tokens);
  }
  const RetainKeys* keys = retain_keys(config.objective);
  if (keys == nullptr || keys->retain == 0) return bound;
  return one_after_the_other(bound, batch_bound(keys->retain_texts, max_tokens));
}

data::EncodeOptions encode_options(const TrainConfig& config,
                                   const std::optional<std::filesystem::path>& chat_template_file) {
  return {.text_template =
              tokenizer::parse_prompt_template(config::enum_name(config.data.text_template)),
          .append_eos = config.data.append_eos,
          .max_tokens = config.data.max_tokens,
          .chat_template = chat_template_file ? read_text(*chat_template_file) : ""};
}

std::string without_input_part(int64_t num_records) {
  if (num_records == 0) return "";
  return fmt::format("; {} without an input left out", counted(num_records, "record"));
}

std::string lengths_line(const TextLengths& lengths, int64_t max_tokens) {
  const std::string left_out =
      lengths.empty > 0 ? fmt::format("; {} without a predicted token are left out", lengths.empty)
                        : "";
  return fmt::format("{} texts of {:.1f} tokens on average, the longest {}; {} cut to {}{}",
                     lengths.texts,
                     static_cast<double>(lengths.tokens) /
                         static_cast<double>(std::max<int64_t>(1, lengths.texts)),
                     lengths.longest, lengths.cut, max_tokens, left_out);
}

}  // namespace cpx::recipes
