// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report_json.h"

namespace cpx::evaluation {

namespace {

using nlohmann::ordered_json;

constexpr const char* kKind = "choice";
constexpr const char* kDefinitions = "as in lm-evaluation-harness 0.4.13";

// ---- Figures -----------------------------------------------------------------------------------

// The documents of a task or of a part of it, by their places in it.
struct TaskPart {
  std::string name = {};
  std::vector<size_t> places = {};
};

bool is_finite(const std::vector<RequestScore>& scores) {
  return std::ranges::none_of(
      scores, [](const RequestScore& score) { return std::isnan(score.log_likelihood); });
}

class FigureMaker {
 public:
  FigureMaker(const ChoiceTask& task, std::span<const ChoiceDocument> documents,
              const DocumentScores& scores, const DocumentScores* first)
      : task_(task), documents_(documents), scores_(scores), first_(first) {}

  TaskFigures of(const TaskPart& part, bool is_compared) const {
    TaskFigures figures{.name = part.name, .num_documents = std::ssize(part.places)};
    for (const size_t place : part.places) {
      if (!is_finite(scores_[place])) ++figures.num_not_finite;
    }
    for (const ChoiceMetric* metric : task_.metrics) {
      const auto values = values_of(*metric, part, scores_);
      MetricFigure figure{.name = std::string(metric->name),
                          .value = metric_figure(*metric, values),
                          .error = metric_error(*metric, values)};
      if (is_compared && first_ != nullptr) {
        figure.comparison = compare_metric(*metric, values_of(*metric, part, *first_), values);
      }
      figures.metrics.push_back(std::move(figure));
    }
    return figures;
  }

  TaskPart subject(std::string_view name) const {
    TaskPart part{.name = std::string(name)};
    for (size_t i = 0; i < documents_.size(); ++i) {
      if (documents_[i].subject == name) part.places.push_back(i);
    }
    return part;
  }

 private:
  std::vector<MetricValue> values_of(const ChoiceMetric& metric, const TaskPart& part,
                                     const DocumentScores& scores) const {
    std::vector<MetricValue> values;
    for (const size_t place : part.places) {
      values.push_back(metric.value(documents_[place], scores[place]));
    }
    return values;
  }

  const ChoiceTask& task_;
  std::span<const ChoiceDocument> documents_;
  const DocumentScores& scores_;
  const DocumentScores* first_;
};

// Mean and error of a group come from its subjects.
void pool(const std::vector<TaskFigures>& subjects, TaskFigures& group) {
  std::vector<GroupPart> parts;
  for (const TaskFigures& subject : subjects) {
    const MetricFigure& accuracy = subject.metrics.front();
    parts.push_back({subject.num_documents, accuracy.value, accuracy.error});
  }
  group.metrics.front().value = group_mean(parts);
  group.metrics.front().error = group_error(parts);
}

TaskFigures grouped(const FigureMaker& figures, const TaskPart& all) {
  TaskFigures total = figures.of(all, /*is_compared=*/true);
  std::vector<TaskFigures> all_subjects;
  for (const SubjectCategory& category : mmlu_categories()) {
    TaskPart part{.name = std::string(category.name)};
    std::vector<TaskFigures> subjects;
    for (const std::string_view name : category.subjects) {
      const TaskPart subject = figures.subject(name);
      if (subject.places.empty()) continue;
      part.places.insert(part.places.end(), subject.places.begin(), subject.places.end());
      subjects.push_back(figures.of(subject, /*is_compared=*/false));
    }
    if (subjects.empty()) continue;
    TaskFigures group = figures.of(part, /*is_compared=*/true);
    pool(subjects, group);
    all_subjects.insert(all_subjects.end(), subjects.begin(), subjects.end());
    group.parts = std::move(subjects);
    total.parts.push_back(std::move(group));
  }
  pool(all_subjects, total);
  return total;
}

// ---- JSON --------------------------------------------------------------------------------------

void add_metric(ordered_json& object, const MetricFigure& metric) {
  const auto finite = [](double value) {
    return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
  };
  object[metric.name] = finite(metric.value);
  if (metric.error) object[metric.name + "_stderr"] = *metric.error;
  if (!metric.comparison) return;
  object[metric.name + "_difference"] = finite(metric.comparison->difference);
  object[metric.name + "_difference_interval"] = interval_json(metric.comparison->interval);
  if (metric.comparison->p_value) object[metric.name + "_p_value"] = *metric.comparison->p_value;
}

ordered_json task_json(const TaskFigures& figures, const std::string& noun) {
  ordered_json object = {{noun, figures.name}};
  for (const ReportSetting& setting : figures.settings) {
    object[setting.name] = setting_json(setting.value);
  }
  object["documents"] = figures.num_documents;
  if (figures.num_not_finite > 0) object["non_finite"] = figures.num_not_finite;
  for (const MetricFigure& metric : figures.metrics) add_metric(object, metric);
  for (const TaskFigures& part : figures.parts) {
    const bool is_category = noun == "task";
    object[is_category ? "groups" : "subjects"].push_back(
        task_json(part, is_category ? "group" : "subject"));
  }
  return object;
}

ordered_json choice_json(const ChoiceReport& report) {
  ordered_json object = report_head(kKind, report.model, report.adapter, report.origin);
  object["definitions"] = kDefinitions;
  object["tasks"] = ordered_json::array();
  for (const TaskFigures& task : report.tasks) object["tasks"].push_back(task_json(task, "task"));
  object["seconds"] = report.seconds;
  return object;
}

// ---- Table -------------------------------------------------------------------------------------

std::string with_error(const MetricFigure& metric) {
  return metric.error ? fmt::format("{:.4f} +- {:.4f}", metric.value, *metric.error)
                      : fmt::format("{:.4f}", metric.value);
}

std::string difference_text(const MetricComparison& comparison) {
  std::string text = fmt::format("{:+.4f}", comparison.difference);
  if (comparison.interval) {
    text += fmt::format(" [{:+.4f}, {:+.4f}]", comparison.interval->low, comparison.interval->high);
  }
  return text;
}

std::string p_value_text(const MetricComparison& comparison) {
  if (!comparison.p_value) return "";
  return *comparison.p_value < 1e-4 ? "<0.0001" : fmt::format("{:.4f}", *comparison.p_value);
}

class ChoiceTable {
 public:
  explicit ChoiceTable(std::span<const ChoiceReport> reports) : reports_(reports) {}

  std::string print() {
    for (size_t i = 0; i < reports_.size(); ++i) {
      const ChoiceReport& report = reports_[i];
      line(fmt::format("{:<10} {}{}", side(i), report.model,
                       report.adapter ? " + " + *report.adapter : ""));
    }
    line(fmt::format("{:<10} {}", "figures", kDefinitions));
    line("");
    head();
    for (size_t task = 0; task < reports_.front().tasks.size(); ++task) {
      rows([&](size_t i) -> const TaskFigures& { return reports_[i].tasks[task]; }, "");
      const size_t num_parts = reports_.front().tasks[task].parts.size();
      for (size_t part = 0; part < num_parts; ++part) {
        rows([&](size_t i) -> const TaskFigures& { return reports_[i].tasks[task].parts[part]; },
             "  ");
      }
    }
    return std::move(text_);
  }

 private:
  static constexpr int kNameWidth = 20;
  static constexpr int kMetricWidth = 16;
  static constexpr int kFigureWidth = 18;
  static constexpr int kDifferenceWidth = 26;
  static constexpr int kPWidth = 8;

  std::string side(size_t number) const {
    if (!reports_[number].adapter) return "base";
    const bool is_one = reports_.size() <= 2 && (number == 1 || reports_.size() == 1);
    return is_one ? "adapter" : fmt::format("adapter {}", number);
  }

  void head() {
    text_ += fmt::format("{:<{}}  {:>9}  {:<{}}", "task", kNameWidth, "documents", "metric",
                         kMetricWidth);
    for (size_t i = 0; i < reports_.size(); ++i) {
      text_ += fmt::format("  {:>{}}", side(i), kFigureWidth);
      if (i == 0) continue;
      text_ += fmt::format("  {:>{}}  {:>{}}", "difference [95 %]", kDifferenceWidth, "p", kPWidth);
    }
    line("");
  }

  template <class FiguresOf>
  void rows(const FiguresOf& figures_of, const std::string& indent) {
    const TaskFigures& first = figures_of(0);
    for (size_t metric = 0; metric < first.metrics.size(); ++metric) {
      const bool is_first = metric == 0;
      text_ += fmt::format("{:<{}}  {:>9}  {:<{}}", is_first ? indent + first.name : "", kNameWidth,
                           is_first ? fmt::format("{}", first.num_documents) : "",
                           first.metrics[metric].name, kMetricWidth);
      for (size_t i = 0; i < reports_.size(); ++i) cells(figures_of(i).metrics[metric]);
      line("");
    }
    for (size_t i = 0; i < reports_.size(); ++i) {
      const int64_t count = figures_of(i).num_not_finite;
      if (count == 0) continue;
      line(fmt::format("{}{}: a log-likelihood of {} documents is no number", indent, side(i),
                       count));
    }
  }

  void cells(const MetricFigure& metric) {
    text_ += fmt::format("  {:>{}}", with_error(metric), kFigureWidth);
    if (!metric.comparison) return;
    text_ += fmt::format("  {:>{}}  {:>{}}", difference_text(*metric.comparison), kDifferenceWidth,
                         p_value_text(*metric.comparison), kPWidth);
  }

  // Ends the line, without blanks at its end.
  void line(const std::string& text) {
    text_ += text;
    text_.resize(text_.find_last_not_of(' ') + 1);
    text_ += "\n";
  }

  std::span<const ChoiceReport> reports_;
  std::string text_;
};

}  // namespace

TaskFigures task_figures(const ChoiceTask& task, std::string name,
                         std::span<const ChoiceDocument> documents, const DocumentScores& scores,
                         const DocumentScores* first) {
  const FigureMaker figures(task, documents, scores, first);
  TaskPart all{.name = std::move(name)};
  for (size_t i = 0; i < documents.size(); ++i) all.places.push_back(i);
  const bool is_group =
      task.has_subjects && std::ranges::any_of(documents, [&](const ChoiceDocument& document) {
        return document.subject != documents.front().subject;
      });
  return is_group ? grouped(figures, all) : figures.of(all, /*is_compared=*/true);
}

std::string choice_report_json(std::span<const ChoiceReport> reports) {
  if (reports.size() == 1) return print_json(choice_json(reports.front()));
  auto list = ordered_json::array();
  for (const ChoiceReport& report : reports) list.push_back(choice_json(report));
  return print_json(list);
}

std::string choice_report_table(std::span<const ChoiceReport> reports) {
  return ChoiceTable(reports).print();
}

}  // namespace cpx::evaluation
