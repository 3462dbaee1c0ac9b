// SPDX-License-Identifier: Apache-2.0
// The report of cpx-eval-choice, as JSON and as a table: the figures of each task under a model
// and, beside it, under adapters.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/evaluation/choice_metrics.h"
#include "cpx/evaluation/choice_task.h"
#include "cpx/evaluation/report_origin.h"

namespace cpx::evaluation {

/// A figure and how sure it is.
struct MetricFigure {
  std::string name = {};
  double value = 0.0;
  std::optional<double> error = {};
  std::optional<MetricComparison> comparison = {};  // with the first model of the report
};

/// The figures of a task, and of the parts of MMLU: categories, and subjects in them.
struct TaskFigures {
  std::string name = {};
  int64_t num_documents = 0;
  int64_t num_not_finite = 0;  // documents with a log-likelihood that is no number
  std::vector<MetricFigure> metrics = {};
  std::vector<TaskFigures> parts = {};
  std::vector<ReportSetting> settings = {};  // files, shots, and how many requests were cut
};

/// One model with one adapter or without.
struct ChoiceReport {
  std::string model = {};
  std::optional<std::string> adapter = {};
  ReportOrigin origin = {};
  std::vector<TaskFigures> tasks = {};
  double seconds = 0.0;  // for scoring, without loading and encoding
};

/// How a model scored the documents of a task: a list of scores for each.
using DocumentScores = std::vector<std::vector<RequestScore>>;

/// The figures of `task`, called `name`, over `documents` as `scores` has them; with `first`, the
/// scores of another model, the figures of the task and its categories are compared with it.
TaskFigures task_figures(const ChoiceTask& task, std::string name,
                         std::span<const ChoiceDocument> documents, const DocumentScores& scores,
                         const DocumentScores* first);

/// One report as a JSON object, several as a list; missing figures are null.
std::string choice_report_json(std::span<const ChoiceReport> reports);

/// As a table for a terminal.
std::string choice_report_table(std::span<const ChoiceReport> reports);

}  // namespace cpx::evaluation
