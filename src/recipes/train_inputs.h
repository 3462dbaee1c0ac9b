// SPDX-License-Identifier: Apache-2.0
// What a training run reads before it trains: records, groups, tokenizer, adapter shape.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/recipes/train_config.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// Records of data.train or data.eval, and what was wrong with them.
struct LoadedRecords {
  std::vector<std::filesystem::path> files;
  std::vector<data::Record> records;
  std::vector<std::string> faults;
};

/// Reads the files of `patterns`; `key` ("data.train") opens the faults of patterns.
LoadedRecords load_records(const std::vector<std::string>& patterns, const TrainConfig& config,
                           std::string_view key);

/// Throws DataError with the first fault and how many follow.
void throw_if_faulty(const LoadedRecords& loaded);

/// The counts that an objective draws of each record, with the run's seed.
data::GroupOptions group_options(const TrainConfig& config);

/// How texts are encoded; `chat_template_file` replaces the model's chat template.
data::EncodeOptions encode_options(const TrainConfig& config,
                                   const std::optional<std::filesystem::path>& chat_template_file);

/// Takes rank, alpha and targets over from adapter.init_from where it is given.
void adopt_adapter(TrainConfig& config);

/// Lengths of the texts that can be drawn.
struct TextLengths {
  int64_t texts = 0;
  int64_t tokens = 0;
  int64_t longest = 0;
  int64_t cut = 0;    // longer than data.max_tokens
  int64_t empty = 0;  // without a predicted token: left out of training
};

/// Encodes every neutral and toxic text of the usable records.
TextLengths measure_texts(const std::vector<data::Record>& records,
                          const data::ContrastGroups& groups, const data::TextEncoder& encoder);

/// "3 files, 42 records: 42 used, 0 skipped (fewer texts than the objective needs)".
std::string records_line(const LoadedRecords& loaded, const data::ContrastGroups& groups);

/// Optimizer steps in an epoch, and of the whole run.
struct RunLength {
  int64_t micro_batches_per_epoch = 0;
  int64_t steps_per_epoch = 0;
  int64_t total_steps = 0;
};
RunLength run_length(const TrainConfig& config, int64_t num_groups);

}  // namespace cpx::recipes
