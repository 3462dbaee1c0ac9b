// SPDX-License-Identifier: Apache-2.0
// Plain texts held where the frozen base has them, beside another objective: a step task around a
// step task.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpx/data/text_encoder.h"
#include "cpx/training/nll_cache.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// A text and its place for messages, "everyday.txt: text 3".
struct RetainedText {
  std::string text = {};
  std::string where = {};
};

struct RetainStepOptions {
  /// Weight of the retained tokens' mean squared distance of NLL from the base's.
  double weight = 1.0;
  /// Texts beside one micro batch of the inner task; all where there are fewer.
  int64_t texts_per_micro_batch = 4;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// The micro batches of `inner`, each followed by a pass over retained texts whose loss
/// (objectives::retain) is added. Texts are taken as they are, without a template. They go round:
/// each is taken once, in an order that (seed, round) give, before any is taken again; which ones
/// stand beside a micro batch is a function of its (epoch, index).
///
/// The base's NLLs are computed with the adapter off in fixed packs of neighbouring texts, once a
/// text, and kept in `cache`. A text without a predicted token is left out with a warning.
///
/// All else is that of the inner task; its evaluation loss is without the retained texts.
class RetainedTask : public StepTask {
 public:
  /// `encoder` must outlive the object; `cache` may be null. Throws DataError where no text has a
  /// predicted token.
  RetainedTask(std::unique_ptr<StepTask> inner, const std::vector<RetainedText>& texts,
               const data::TextEncoder& encoder, const RetainStepOptions& options,
               std::shared_ptr<NllCache> cache = nullptr);
  ~RetainedTask() override;

  std::string name() const override;
  int64_t num_micro_batches() const override;
  std::unique_ptr<MicroBatch> prepare(nn::CausalLm& model, int64_t epoch, int64_t index) override;
  bool has_evaluation() const override;
  EvaluationResult evaluate(nn::CausalLm& model) override;

  std::vector<nn::NamedParameter> trainable() const override;
  void begin_run(const std::filesystem::path& run_folder, int64_t step) override;
  /// The inner task's figures and `retain_distance`, the mean squared distance of the step's
  /// retained tokens from the base's NLL, with the training's dropout (0 where the weight is).
  std::vector<Figure> end_step(int64_t step) override;
  void write_weights(const std::filesystem::path& folder) const override;
  void write_state(const std::filesystem::path& folder) const override;
  void read_state(const std::filesystem::path& folder) override;

  /// Texts that are used: those with a predicted token.
  int64_t num_texts() const;
  /// Passes of the base model so far, for tests and reports.
  int64_t num_base_passes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cpx::training
