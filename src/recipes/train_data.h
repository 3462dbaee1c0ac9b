// SPDX-License-Identifier: Apache-2.0
// A run's data as its objective uses them: what is to be said of them, and the step task that
// trains on them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batch_sizes.h"
#include "cpx/core/faults.h"
#include "cpx/data/text_encoder.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/recipes/train_config.h"
#include "cpx/training/preference_step.h"
#include "cpx/training/step_task.h"
#include "retained_texts.h"

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

/// The files of data.train or of data.eval, and who reads their texts.
struct DataFiles {
  bool is_trained_on = true;
  std::vector<std::filesystem::path> files = {};
  RetainedTexts retained = {};  // of training
  /// null: only what needs no tokens can be asked for, and of preferences there are faults alone.
  std::shared_ptr<const data::TextEncoder> encoder = nullptr;
};

/// The data of training or of evaluation: what is to be said of them.
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
};

/// All data of a run, read by its objective.
class RunData {
 public:
  virtual ~RunData() = default;

  /// Reads the data of training or of evaluation. Returns what is wrong with them.
  virtual Faults read(DataFiles files) = 0;
  /// null where they were not read, or a fault left nothing to look at.
  virtual const TrainData* train() const = 0;
  virtual const TrainData* eval() const = 0;
  /// The task that trains on train() and evaluates on eval(), where there is one; this object must
  /// outlive it. Throws DataError where an epoch has no micro batch.
  virtual std::unique_ptr<training::StepTask> make_task(const TaskContext& context) const = 0;
};

/// The data of an objective that reads them as `Data`, a TrainData.
template <class Data>
class RunDataOf final : public RunData {
 public:
  /// Reads the files; what is wrong is added to the faults. May throw DataError.
  using Read = std::function<std::unique_ptr<Data>(DataFiles files, Faults& faults)>;
  /// The task on `train`; `eval` may be null.
  using Make = std::function<std::unique_ptr<training::StepTask>(
      const Data& train, const Data* eval, const TaskContext& context)>;

  RunDataOf(Read read, Make make) : read_(std::move(read)), make_(std::move(make)) {}

  Faults read(DataFiles files) override {
    Faults faults;
    std::unique_ptr<Data>& data = files.is_trained_on ? train_ : eval_;
    faults.collect([&] { data = read_(std::move(files), faults); });
    return faults;
  }
  const TrainData* train() const override { return train_.get(); }
  const TrainData* eval() const override { return eval_.get(); }
  std::unique_ptr<training::StepTask> make_task(const TaskContext& context) const override {
    return make_(*train_, eval_.get(), context);
  }

 private:
  Read read_;
  Make make_;
  std::unique_ptr<Data> train_;
  std::unique_ptr<Data> eval_;
};

/// Reads data.train, or data.eval where `is_trained_on` is false, into `data`. Returns what is
/// wrong with them.
Faults read_data(const TrainConfig& config, RunData& data, bool is_trained_on,
                 std::shared_ptr<const data::TextEncoder> encoder);

/// The data of a run with data.train read. Throws DataError with the first fault and how many
/// follow.
std::unique_ptr<RunData> read_train_data(const TrainConfig& config,
                                         std::shared_ptr<const data::TextEncoder> encoder);

/// Throws DataError with the first fault and how many follow; none: nothing happens.
void throw_if_faulty(const Faults& faults);

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
