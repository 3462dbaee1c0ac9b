// SPDX-License-Identifier: Apache-2.0
#include "train_inputs.h"

#include <algorithm>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/formats/peft.h"
#include "cpx/training/trainer.h"
#include "faults.h"

namespace cpx::recipes {

LoadedRecords load_records(const std::vector<std::string>& patterns, const TrainConfig& config,
                           std::string_view key) {
  LoadedRecords loaded;
  std::vector<std::string> pattern_faults;
  loaded.files = data::expand_globs(patterns, pattern_faults);
  for (const std::string& fault : pattern_faults) {
    loaded.faults.push_back(fmt::format("[{}] {}: {}", config.sources.where(key), key, fault));
  }
  data::ShardContent content = data::read_shards(loaded.files);
  loaded.records = std::move(content.records);
  loaded.faults.insert(loaded.faults.end(), content.faults.begin(), content.faults.end());
  return loaded;
}

void throw_if_faulty(const LoadedRecords& loaded) {
  throw_first_of(loaded.faults, ": --validate shows all");
}

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
  } else {
    options.num_positives = std::get<SftOptions>(config.objective).num_positives;
  }
  return options;
}

data::EncodeOptions encode_options(const TrainConfig& config,
                                   const std::optional<std::filesystem::path>& chat_template_file) {
  return {.text_template =
              tokenizer::parse_prompt_template(config::enum_name(config.data.text_template)),
          .append_eos = config.data.append_eos,
          .max_tokens = config.data.max_tokens,
          .chat_template = chat_template_file ? read_text_file(*chat_template_file) : ""};
}

void adopt_adapter(TrainConfig& config) {
  if (!config.adapter.init_from) return;
  const formats::PeftConfig peft = formats::read_peft_config(*config.adapter.init_from);
  adopt_adapter_shape(config, {.rank = peft.rank,
                               .alpha = peft.alpha,
                               .target_modules = peft.target_modules,
                               .rslora = peft.rslora});
}

TextLengths measure_texts(const std::vector<data::Record>& records,
                          const data::ContrastGroups& groups, const data::TextEncoder& encoder) {
  TextLengths lengths;
  const auto add = [&](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      const data::EncodedText encoded = encoder.encode(text);
      const auto tokens = static_cast<int64_t>(encoded.ids.size());
      ++lengths.texts;
      lengths.tokens += tokens;
      lengths.longest = std::max(lengths.longest, tokens);
      lengths.cut += encoded.is_cut ? 1 : 0;
      lengths.empty += tokens < 2 ? 1 : 0;
    }
  };
  for (const int64_t index : groups.usable_records()) {
    const data::Record& record = records[static_cast<size_t>(index)];
    add(record.neutral);
    add(record.toxic);
  }
  return lengths;
}

std::string records_line(const LoadedRecords& loaded, const data::ContrastGroups& groups) {
  return fmt::format("{} {}, {} records: {} used, {} skipped{}", loaded.files.size(),
                     loaded.files.size() == 1 ? "file" : "files", loaded.records.size(),
                     groups.num_groups(), groups.num_skipped(),
                     groups.num_skipped() > 0 ? " (fewer texts than the objective needs)" : "");
}

RunLength run_length(const TrainConfig& config, int64_t num_groups) {
  const TrainingOptions& options = config.training;
  RunLength length;
  length.micro_batches_per_epoch = config.data.drop_last
                                       ? num_groups / options.groups
                                       : (num_groups + options.groups - 1) / options.groups;
  if (length.micro_batches_per_epoch == 0) return length;
  length.steps_per_epoch =
      training::steps_per_epoch(length.micro_batches_per_epoch, options.accumulate);
  // --validate comes here with a faulty config too.
  if (options.epochs == 0 && options.max_steps == 0) return length;
  training::TrainerOptions limits;
  limits.epochs = options.epochs;
  limits.max_steps = options.max_steps;
  limits.accumulate = options.accumulate;
  length.total_steps = training::total_steps(length.micro_batches_per_epoch, limits);
  return length;
}

}  // namespace cpx::recipes
