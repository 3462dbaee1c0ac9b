// SPDX-License-Identifier: Apache-2.0
// The documents that a command of cpx-eval-choice asks, task by task.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cpx/core/output_check.h"
#include "cpx/evaluation/choice_data.h"
#include "cpx/recipes/eval_choice.h"

namespace cpx::recipes {

/// A task with the path that the command names for it, and for its few-shot examples.
struct ChoiceInput {
  std::string name;  // "mmlu_anatomy"
  evaluation::ChoiceTaskName task = {};
  std::filesystem::path path = {};
  std::filesystem::path shots_path = {};  // empty: none

  // Filled by read_documents().
  std::vector<evaluation::ChoiceDocument> documents = {};
  std::vector<std::filesystem::path> files = {};       // of the documents
  std::vector<std::filesystem::path> shot_files = {};  // of the examples
};

/// The tasks of `command`, without their documents. Throws ConfigError with all that is wrong with
/// --task, --shots and --shots-from.
std::vector<ChoiceInput> choice_inputs(const EvalChoiceCommand& command);

/// Adds the files and folders that are read.
void add_inputs(OutputCheck& outputs, const std::vector<ChoiceInput>& inputs);

/// Reads the documents and puts their examples in front. Throws DataError.
void read_documents(const EvalChoiceCommand& command, std::vector<ChoiceInput>& inputs);

/// The requests as JSON lines: a document's contexts, continuations and right choice, in the form
/// of the harness's own strings.
std::string dumped_requests(const std::vector<ChoiceInput>& inputs, int64_t num_shots);

}  // namespace cpx::recipes
