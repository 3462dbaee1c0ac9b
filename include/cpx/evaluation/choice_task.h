// SPDX-License-Identifier: Apache-2.0
// The tasks of cpx-eval-choice: what each asks, and of which data. A task is a row of one table;
// its prompts, choices and metrics are those of lm-evaluation-harness 0.4.13, to the byte.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/json.h"
#include "cpx/evaluation/choice_document.h"
#include "cpx/evaluation/choice_metrics.h"

namespace cpx::evaluation {

/// Where the few-shot examples of a document come from.
enum class ShotRule {
  kNone,   // the task takes none
  kFirst,  // the first ones of its subject, for every document
  kDrawn,  // drawn for each document
  /// Drawn for each document, one more than asked, because examples and documents may come from one
  /// split: an example that is the document itself is left out.
  kDrawnWithSpare,
};

/// One task.
struct ChoiceTask {
  std::string_view name;
  std::string_view data;  // data set and split of published figures
  /// The names that its file has in a folder, and those of the file of its examples.
  std::vector<std::string_view> files = {};
  std::vector<std::string_view> shot_files = {};

  /// The text in front of the choices.
  std::string (*question)(const JsonValue& record) = nullptr;
  std::vector<std::string> (*choices)(const JsonValue& record) = nullptr;
  /// The number of the right choice, below `num_choices`; null: there is none.
  int64_t (*gold)(const JsonValue& record, int64_t num_choices) = nullptr;
  /// For several right choices: which are.
  std::vector<bool> (*is_true)(const JsonValue& record) = nullptr;
  /// What stands between question and choice.
  std::string_view delimiter = " ";
  /// Requests of another form than question and choice.
  std::vector<ChoiceRequest> (*requests)(const JsonValue& record) = nullptr;
  /// For rolling perplexity: the text as the file has it, by which words and bytes are counted.
  std::string (*original)(const JsonValue& record) = nullptr;

  ShotRule shots = ShotRule::kNone;
  std::vector<const ChoiceMetric*> metrics = {};
  /// Documents are asked by subject, behind a description of it (MMLU).
  bool has_subjects = false;
  /// All documents begin with the same text.
  bool has_common_beginning = false;

  /// True if every token of the text is scored.
  bool is_rolling() const { return original != nullptr; }
};

/// All tasks, in the order of the help.
std::span<const ChoiceTask> choice_tasks();

/// What a name on the command line means: a task, and of mmlu_SUBJECT that subject alone.
struct ChoiceTaskName {
  const ChoiceTask* task = nullptr;
  std::string subject = {};  // empty: all
};

/// Throws ConfigError, with the nearest name, for a name that no task has.
ChoiceTaskName find_choice_task(std::string_view name);

/// A category of MMLU and its subjects.
struct SubjectCategory {
  std::string_view name;
  std::vector<std::string_view> subjects;
};
/// The four categories, with 57 subjects together.
std::span<const SubjectCategory> mmlu_categories();

/// What stands in front of the questions of a subject, and of their examples.
std::string subject_description(std::string_view subject);

/// The document that `task` makes of a record. Throws DataError, with the record's place, for a
/// record that lacks a field, has an empty choice or names a right choice that it does not have.
ChoiceDocument choice_document(const ChoiceTask& task, const JsonValue& record);

}  // namespace cpx::evaluation
