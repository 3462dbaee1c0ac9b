// SPDX-License-Identifier: Apache-2.0
// Tasks for tests of the trainer: a tiny run's contrastive perplexity, made to fail or to evaluate
// as a test wants it.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "record_steps.h"

namespace cpx::training {

/// Wraps another micro batch and spoils its loss, or its gradient.
class SpoiledMicroBatch : public MicroBatch {
 public:
  enum class Kind { kLoss, kGradient };

  SpoiledMicroBatch(std::unique_ptr<MicroBatch> inner, Kind kind)
      : MicroBatch(inner->info()), inner_(std::move(inner)), kind_(kind) {}

  objectives::ObjectiveResult forward_backward(nn::CausalLm& model,
                                               const objectives::StepCounts& step,
                                               const nn::ForwardOptions& options) const override {
    auto result = inner_->forward_backward(model, step, options);
    if (kind_ == Kind::kLoss) {
      result.loss = std::numeric_limits<double>::quiet_NaN();
    } else {
      for (auto& parameter : model.trainable()) {
        parameter.value.mutable_grad().fill_(std::numeric_limits<double>::infinity());
      }
    }
    return result;
  }

 private:
  std::unique_ptr<MicroBatch> inner_;
  Kind kind_;
};

/// A task over `num_records` tiny records, evaluated on others.
class ScriptedTask : public StepTask {
 public:
  explicit ScriptedTask(int64_t num_records)
      : encoder_(number_encoder()),
        records_(tiny_records(num_records)),
        eval_records_(tiny_records(3, /*seed=*/9)),
        step_(contrast_step(records_, eval_records_, encoder_, tiny_step_options())) {}

  std::string name() const override { return step_->name(); }
  int64_t num_micro_batches() const override { return step_->num_micro_batches(); }
  bool has_evaluation() const override { return true; }

  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override {
    visited.emplace_back(epoch, index);
    if (on_prepare) on_prepare(epoch, index);
    auto micro_batch = step_->prepare(model, epoch, index);
    if (!spoiled.contains({epoch, index})) return micro_batch;
    return std::make_unique<SpoiledMicroBatch>(std::move(micro_batch), spoil);
  }

  EvaluationResult evaluate(nn::CausalLm& model) override {
    auto result = step_->evaluate(model);
    if (next_loss < losses.size()) result.loss = losses[next_loss++];
    return result;
  }

  std::vector<std::pair<int64_t, int64_t>> visited;  // epoch and index
  std::set<std::pair<int64_t, int64_t>> spoiled;     // epoch and index
  SpoiledMicroBatch::Kind spoil = SpoiledMicroBatch::Kind::kLoss;
  std::vector<double> losses;  // of the evaluations in turn; the real ones after them
  size_t next_loss = 0;
  std::function<void(int64_t epoch, int64_t index)> on_prepare;

 private:
  data::TextEncoder encoder_;
  std::vector<data::Record> records_;
  std::vector<data::Record> eval_records_;
  std::unique_ptr<GroupStep> step_;
};

}  // namespace cpx::training
