// SPDX-License-Identifier: Apache-2.0
// Answers that are wanted or not, each by itself, from contrast shards, preference files or files
// of labelled answers: the data of kto.
#pragma once

#include <memory>

#include "answer_data.h"
#include "cpx/config/fields.h"
#include "cpx/data/labelled_answers.h"
#include "cpx/objectives/kto.h"

namespace cpx::recipes {

/// Keys of labelled answers.
struct LabelledKeys {
  PromptKeys prompts = {};
  data::LabelledOptions answers = {};  // order and seed are the run's

  void visit_fields(config::FieldVisitor& visit);
};

/// The data of a run with kto. All arguments must outlive them.
std::unique_ptr<RunData> labelled_run_data(const TrainConfig& config, const LabelledKeys& keys,
                                           const objectives::KtoOptions& options);

}  // namespace cpx::recipes
