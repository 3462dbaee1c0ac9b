// SPDX-License-Identifier: Apache-2.0
// The training loop of every objective.
//
// An epoch has num_micro_batches() micro batches; `accumulate` of them make one optimizer step, the
// last step of an epoch takes what is left: no step crosses the end of an epoch. A step prepares
// its micro batches, adds up their counts, runs each forward and backward, clips, and updates.
// Position and dropout are functions of the step's number, so a run that is killed goes on bit for
// bit (on the CPU, with the same number of threads).
//
// A loss or gradient norm that is not finite skips the whole optimizer step: it counts as a step of
// the schedule, but nothing is changed. The same goes for a step of whose micro batches the
// objective skipped all, which is no fault.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/formats/peft.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/training/adamw.h"
#include "cpx/training/checkpoint.h"
#include "cpx/training/generations.h"
#include "cpx/training/model_card.h"
#include "cpx/training/schedule.h"
#include "cpx/training/selection.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// Length, optimizer and rhythm of a run; 0 switches off what counts or limits.
struct TrainerOptions {
  std::filesystem::path output = {};  // the run folder; made where it is missing

  /// Epochs and optimizer steps; 0: no limit. What is reached first ends the run; one must be > 0.
  int64_t epochs = 1;
  int64_t max_steps = 0;
  int64_t accumulate = 1;  // micro batches in one optimizer step
  uint64_t seed = 0;       // of the dropout

  double learning_rate = 2e-4;
  AdamWOptions adamw = {};
  double max_grad_norm = 0.3;
  ScheduleOptions schedule = {};

  /// Keep only each block's input for the backward pass.
  bool recompute_blocks = false;

  int64_t evaluate_every = 50;  // optimizer steps; besides, before the first and after the last
  int64_t early_stopping_patience = 0;  // evaluations without a better one that end the run
  SelectionMetric metric = SelectionMetric::kLoss;

  int64_t generate_every = 0;  // optimizer steps; besides, before the first and after the last one

  int64_t checkpoint_every = 50;  // optimizer steps; besides, after the last one
  int64_t keep_last = 3;          // checkpoints
  bool keep_best = true;          // writes best/ where there is an evaluation

  int64_t log_every = 1;  // optimizer steps between progress lines
  bool tensorboard = true;
  /// FLOP/s of the machine's matrix product (tensor::measure_matmul_flops); 0: no MFU is told.
  double peak_flops = 0.0;
  /// Where the trace of kProfiledSteps steps goes, after kProfileWarmUp others; empty: none.
  std::filesystem::path profile_trace = {};
};

constexpr int64_t kProfileWarmUp = 2;
constexpr int64_t kProfiledSteps = 5;

/// What a saved adapter says of itself, and what resume compares.
struct RunInfo {
  formats::PeftConfig peft = {};
  ModelCard card = {};
  Fingerprints fingerprints = {};
  std::string config = {};  // written beside each adapter as config.yaml
};

/// How a run ended.
struct TrainingResult {
  enum class End {
    kFinished,      // all steps done
    kStoppedEarly,  // patience ran out
    kInterrupted,   // SIGINT or SIGTERM; a checkpoint was written
  };

  End end = End::kFinished;
  TrainerState state = {};
  int64_t total_steps = 0;
  /// final/, or the checkpoint to go on from after an interruption.
  std::filesystem::path folder = {};
  /// Why final/ is not usable (most steps were skipped, numbers that are not finite); empty: it is.
  std::string fault = {};
  /// Where the time of the profiled steps went (tensor::profile_table); empty where none was.
  std::string profile = {};
};

/// Why an adapter is not usable: more than half of the steps so far were skipped, a number of
/// `adapter` is not finite, or the last evaluation's loss, where there is one, is not. Empty: it
/// is.
std::string adapter_fault(const TrainerState& state, std::span<const nn::NamedParameter> adapter,
                          const std::optional<double>& evaluation_loss);

/// Ten optimizer steps in a row that had to be skipped stop a run.
constexpr int64_t kMaxConsecutiveSkippedSteps = 10;

/// Optimizer steps of an epoch: the last one may have fewer micro batches.
int64_t steps_per_epoch(int64_t num_micro_batches, int64_t accumulate);

/// Optimizer steps of a run; throws std::invalid_argument when neither epochs nor steps limit it.
int64_t total_steps(int64_t num_micro_batches, const TrainerOptions& options);

/// Trains the model's trainable tensors, and the task's own, on a task.
class Trainer {
 public:
  /// Model, task and generations must outlive the object; null: no texts are written. Throws
  /// std::invalid_argument for a model in float16, whose gradients leave that type's range, and for
  /// a model with nothing to train.
  Trainer(nn::CausalLm& model, StepTask& task, const RunInfo& info, const TrainerOptions& options,
          Generations* generations = nullptr);

  /// Goes on from a checkpoint folder: adapter, optimizer, position, best so far. Throws DataError
  /// when it is damaged, and ConfigError, all differences at once, when its fingerprints differ.
  void resume(const std::filesystem::path& checkpoint);

  /// Trains to the end and writes final/. Checkpoints and metrics past the position where it begins
  /// are removed from the run folder. On SIGINT or SIGTERM it stops between two optimizer
  /// steps, after a checkpoint. Throws DataError when a file cannot be written, or when
  /// kMaxConsecutiveSkippedSteps had to be skipped (the message tells what was in the batch).
  TrainingResult run();

 private:
  class Session;

  nn::CausalLm& model_;
  StepTask& task_;
  RunInfo info_;
  TrainerOptions options_;
  Generations* generations_;  // null: none
  std::vector<nn::NamedParameter> adapter_;
  AdamW optimizer_;  // of the adapter and the task's own tensors
  TrainerState state_;
};

}  // namespace cpx::training
