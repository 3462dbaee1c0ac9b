// SPDX-License-Identifier: Apache-2.0
// The documents of cpx-eval-choice with their scores, a line of JSON each: a file that grows, and
// from which a stopped run goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "choice_inputs.h"
#include "cpx/core/output_file.h"
#include "cpx/evaluation/choice_report.h"
#include "cpx/pipeline/batch_journal.h"
#include "cpx/recipes/eval_choice.h"

namespace cpx::recipes {

/// What is done of a command, in the order of the work: by adapter, task and document. Finished
/// lines stand in a journal beside --items, which appears when all is done.
class ChoiceItems {
 public:
  /// Without --items nothing is kept. Throws DataError where --items was begun with other settings,
  /// unless --overwrite is given.
  ChoiceItems(const EvalChoiceCommand& command, const std::vector<pipeline::Setting>& settings);

  /// The scores of the next documents of a task of `num_documents`, as far as an earlier run has
  /// done them.
  evaluation::DocumentScores take_done(size_t num_documents);

  /// Adds the documents from number `first` on of a task.
  void add(const ChoiceInput& input, const std::optional<std::filesystem::path>& adapter,
           size_t first, const evaluation::DocumentScores& scores);

  /// Writes the file.
  void finish();

  /// True if a stopped run can go on.
  bool are_kept() const { return journal_.has_value(); }
  int64_t num_done() const { return journal_ ? journal_->num_lines() : 0; }

 private:
  std::optional<std::filesystem::path> path_;
  std::optional<pipeline::BatchJournal> journal_;
  std::optional<AtomicFile> stream_;  // for a path that is not a plain file
  std::deque<std::string> done_;      // lines of an earlier run that were not taken yet
};

}  // namespace cpx::recipes
