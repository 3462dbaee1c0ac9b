// SPDX-License-Identifier: Apache-2.0
// Reads the documents of choice tasks: JSON with the fields of the Hugging Face data sets, and the
// original files (PIQA's labels beside it, MMLU's CSV by subject, WikiText's raw text).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/choice_task.h"

namespace cpx::evaluation {

/// Which of a task's files is meant where a folder is given.
enum class ChoicePart {
  kEvaluated,  // the documents that are asked
  kExamples,   // those that few-shot examples are taken from
};

/// The documents of a task and the files that they come from.
struct ChoiceData {
  std::vector<ChoiceDocument> documents = {};
  std::vector<std::filesystem::path> files = {};
};

/// Reads `path`, a file or a folder in which the task's file is found by its name. Documents of
/// MMLU are sorted by subject, in the order of mmlu_categories(); those of other subjects than
/// `name.subject` are left out, if it names one. At most `limit` documents are read (of each
/// subject); 0: all. Throws DataError for the first fault.
ChoiceData read_choice_data(const ChoiceTaskName& name, const std::filesystem::path& path,
                            ChoicePart part, int64_t limit = 0);

/// Puts description and `num_shots` examples of `pool` in front of each document
/// (ChoiceDocument::preamble), drawn as the harness draws them with its seed 1234. Throws
/// DataError, opened by [TASK], if the pool is too small.
void add_preambles(const ChoiceTask& task, std::span<const ChoiceDocument> pool, int64_t num_shots,
                   std::vector<ChoiceDocument>& documents);

}  // namespace cpx::evaluation
