// SPDX-License-Identifier: Apache-2.0
// What the trainer sees of an objective: micro batches that know their counts before any backward
// pass and run themselves, and an evaluation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpx/nn/causal_lm.h"
#include "cpx/objectives/objective_result.h"
#include "cpx/objectives/perplexity_summary.h"

namespace cpx::training {

/// What is known of a micro batch before its first pass through the model.
struct MicroBatchInfo {
  /// Its part of the counts that the step's loss terms are divided by.
  objectives::StepCounts counts = {};
  /// Tokens that pass through the model.
  int64_t num_tokens = 0;
  /// Tokens that padding to the longest text would add.
  int64_t num_padded_tokens = 0;
  /// Where its records come from, for messages: "service.json: record 3 (id 'service-3')".
  std::vector<std::string> records = {};
};

/// A prepared micro batch; owns all it needs.
class MicroBatch {
 public:
  explicit MicroBatch(MicroBatchInfo info) : info_(std::move(info)) {}
  virtual ~MicroBatch() = default;
  MicroBatch(const MicroBatch&) = delete;
  MicroBatch& operator=(const MicroBatch&) = delete;

  const MicroBatchInfo& info() const { return info_; }

  /// The micro batch's share of the step's loss, whose gradient is added to the trainable tensors'.
  /// `step` are the counts of the whole optimizer step. Where the loss is not finite there is no
  /// backward pass.
  virtual objectives::ObjectiveResult forward_backward(nn::CausalLm& model,
                                                       const objectives::StepCounts& step,
                                                       const nn::ForwardOptions& options) const = 0;

 private:
  MicroBatchInfo info_;
};

/// A number that an objective tells besides its loss.
struct Figure {
  std::string name = {};
  double value = 0.0;
  bool in_progress = false;  // the progress line shows it too
};

/// What a model says of the evaluation texts.
struct EvaluationResult {
  /// The objective over all evaluation groups as if they were one optimizer step.
  double loss = 0.0;
  std::optional<double> contrast = std::nullopt;
  /// The same texts, side by side: toxic and neutral perplexity, ratio, separation. Of an objective
  /// without two sides there is none of them.
  objectives::SideComparison sides = {};
  /// Mean score of sampled responses.
  std::optional<double> score = std::nullopt;
  std::vector<Figure> figures = {};
};

/// One objective on its data. Everything it does is a function of (epoch, index), and of what
/// write_state() keeps, so that a run can go on from any position.
class StepTask {
 public:
  virtual ~StepTask() = default;

  /// Name of the objective, for example "contrastive_perplexity".
  virtual std::string name() const = 0;

  /// Micro batches of an epoch; at least 1, the same in every epoch.
  virtual int64_t num_micro_batches() const = 0;

  /// Micro batch `index` of `epoch`. `model` is asked for what the objective needs of the frozen
  /// base, without gradient.
  virtual std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch,
                                              int64_t index) = 0;

  /// False where there are no evaluation texts.
  virtual bool has_evaluation() const = 0;

  /// Loss and perplexities of the evaluation texts, without gradient and dropout; the texts are the
  /// records' first ones, the same each time.
  virtual EvaluationResult evaluate(nn::CausalLm& model) = 0;

  // ---- What most objectives do without ----------------------------------------------------------

  /// Tensors of its own that are trained beside the adapter's, in a fixed order.
  virtual std::vector<nn::NamedParameter> trainable() const { return {}; }

  /// Called once before the first step of a run that goes on after `step` (0: a new one): what a
  /// task writes into the run folder besides is cut back to that step.
  virtual void begin_run(const std::filesystem::path& /*run_folder*/, int64_t /*step*/) {}

  /// Called after optimizer step number `step`, skipped ones too: what it tells besides its loss.
  virtual std::vector<Figure> end_step(int64_t /*step*/) { return {}; }

  /// Writes its own trained tensors beside an adapter's: into best/, final/ and checkpoints.
  virtual void write_weights(const std::filesystem::path& /*folder*/) const {}

  /// Writes into a checkpoint's folder, and takes from it, all else that it needs to go on: its own
  /// tensors too are taken from there. Throw DataError.
  virtual void write_state(const std::filesystem::path& /*folder*/) const {}
  virtual void read_state(const std::filesystem::path& /*folder*/) {}
};

}  // namespace cpx::training
