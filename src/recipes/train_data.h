// SPDX-License-Identifier: Apache-2.0
// One side of a run's data, for training or for evaluation, as the run's objective uses it: what is
// to be said of it, and the step task that trains on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch_sizes.h"
#include "cpx/data/text_encoder.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/preference_step.h"
#include "cpx/training/step_task.h"

namespace cpx::recipes {

/// What a step task is made with, besides its data.
struct TaskContext {
  /// The model that is trained; never null.
  const nn::CausalLm* model = nullptr;
  /// Of objectives that have one.
  training::PreferenceReference reference = {};
  /// What the base says of texts; null: it is not kept.
  std::shared_ptr<training::NllCache> base_cache = nullptr;
};

class TrainData {
 public:
  virtual ~TrainData() = default;

  /// What an epoch has of what `training.groups` counts.
  virtual int64_t num_units() const = 0;
  /// What that is called: "groups", "pairs".
  virtual std::string_view unit_name() const = 0;
  /// "3 files, 42 records: 42 used, 0 skipped".
  virtual std::string summary() const = 0;
  /// "texts begin with '<s>' (1) and end with '</s>' (2)".
  virtual std::string ends() const = 0;
  /// Lengths of the texts; may take as long as encoding them all.
  virtual std::string lengths() const = 0;
  /// What a user should know of before the run, a line each.
  virtual std::vector<std::string> warnings() const { return {}; }
  /// Calls `visit` with each text of either side, as it was read, in all places where it stands;
  /// the views live as long as the data. PPO's prompts are none.
  virtual void visit_texts(const std::function<void(std::string_view)>& /*visit*/) const {}
  /// Throws where data and model do not fit together, which the task would refuse.
  virtual void check_fit(const nn::ModelShape& /*model*/) const {}
  /// What the memory table does not count, for --estimate; empty: nothing.
  virtual std::string not_counted(const nn::ModelShape& /*model*/) const { return {}; }
  /// Number and hash of the texts.
  virtual std::string fingerprint() const = 0;

  /// Sizes of the micro batches of the first `num_epochs` epochs, as they will be drawn.
  virtual BatchSizes measure_batches(int64_t num_epochs) const = 0;
  /// Prints the first `count` examples of epoch 0 as the model sees them.
  virtual void print_examples(int64_t count) const = 0;

  /// The task that trains on this data; `evaluation` is null, or data of the same objective. Both
  /// must outlive it. Throws DataError where an epoch has no micro batch.
  virtual std::unique_ptr<training::StepTask> make_task(const TrainData* evaluation,
                                                        const TaskContext& context) const = 0;
};

/// A side of the data, or why there is none.
struct LoadedData {
  std::unique_ptr<TrainData> data = {};  // null where a fault leaves nothing to look at
  std::vector<std::string> faults = {};
};

/// Reads the files of `patterns` for the config's objective; `key` ("data.train") opens the faults
/// of patterns. The config must outlive the data. Without an encoder only what needs no tokens can
/// be asked for, and of preferences there are faults alone.
LoadedData load_train_data(const TrainConfig& config, std::string_view key,
                           const std::vector<std::string>& patterns,
                           std::shared_ptr<const data::TextEncoder> encoder);

/// Throws DataError with the first fault and how many follow.
void throw_if_faulty(const LoadedData& loaded);

/// What no micro batch of an objective can exceed, whatever its data.
BatchSizes batch_bound(const TrainConfig& config);

/// How texts are encoded; `chat_template_file` replaces the model's chat template.
data::EncodeOptions encode_options(const TrainConfig& config,
                                   const std::optional<std::filesystem::path>& chat_template_file);

/// "; 2 records without an input left out", for summary(); empty for none.
std::string without_input_part(int64_t num_records);

/// Texts that were encoded, for lengths().
struct TextLengths {
  int64_t texts = 0;
  int64_t tokens = 0;
  int64_t longest = 0;
  int64_t cut = 0;    // longer than data.max_tokens
  int64_t empty = 0;  // without a predicted token: left out of training
};

/// "42 texts of 17.3 tokens on average, the longest 60; 0 cut to 256".
std::string lengths_line(const TextLengths& lengths, int64_t max_tokens);

}  // namespace cpx::recipes
