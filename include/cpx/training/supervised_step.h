// SPDX-License-Identifier: Apache-2.0
// Supervised fine-tuning on plain texts, prompts with completions and conversations, as a step
// task.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cpx/data/supervised.h"
#include "cpx/training/step_task.h"

namespace cpx::training {

/// The texts that a task trains and evaluates on. They and the encoder must outlive it.
struct SupervisedData {
  std::span<const data::SupervisedText> train = {};
  std::span<const data::SupervisedText> eval = {};  // empty: there is no evaluation
  const data::SupervisedEncoder& encoder;
  /// Texts in one micro batch; more of them need more memory.
  int64_t texts_per_micro_batch = 2;
  /// Leaves out an epoch's last micro batch when it is not full.
  bool drop_last = false;
  bool shuffle = true;
  uint64_t seed = 0;
};

/// The mean NLL of the texts' predicted tokens over an optimizer step; each text has one.
/// Evaluation takes all texts and beside the loss their perplexity, exp(loss); there are no two
/// sides. Throws DataError where, with drop_last, no micro batch is full.
std::unique_ptr<StepTask> supervised_step(const SupervisedData& data);

}  // namespace cpx::training
